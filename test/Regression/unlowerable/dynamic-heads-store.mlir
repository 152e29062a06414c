// RUN: %check_pipelines %s
// Heads and channels that nobody knows: rows of unknown length cannot be found.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @store(%kv0: !kv, %k: tensor<?x?x?xf16>, %v: tensor<?x2x64xf16>, %slots: tensor<?xi32>) -> !kv {
  // error@+1: 'llm.store_kv' op expected operand 1 with a known number of heads and a known head size, but got 'tensor<?x?x?xf16>'
  %kv1 = llm.store_kv %kv0, %k, %v, %slots : (!kv, tensor<?x?x?xf16>, tensor<?x2x64xf16>, tensor<?xi32>) -> !kv
  return %kv1 : !kv
}
