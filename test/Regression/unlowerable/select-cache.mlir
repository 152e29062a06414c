// RUN: %check_pipelines %s
// A choice between caches: an op that no conversion knows, on a type that only they have.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @choose(%condition: i1, %a: !kv, %b: !kv) -> !kv {
  // error@+1: 'arith.select' op expected scalars or buffers, as scf, func and llm ops alone take tensors and caches in a function over a cache, but got '!llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>'
  %kv = arith.select %condition, %a, %b : !kv
  return %kv : !kv
}
