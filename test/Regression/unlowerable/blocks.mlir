// RUN: %check_pipelines %s
// Unstructured control flow.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
// error@+1: 'func.func' op over a cache is expected to have one block, with scf for control flow, but it has 2
func.func @blocks(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  cf.br ^next
^next:
  return %table : tensor<?x?xi32>
}
