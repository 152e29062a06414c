// RUN: %check_pipelines %s
// Unstructured control flow.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
// error@+1: 'func.func' op over a cache is expected to have one block, with scf for control flow, but it has 3
func.func @blocks(%kv: !kv, %seqs: tensor<?xi32>, %others: tensor<?xi32>, %c: i1) -> tensor<?x?xi32> {
  cf.cond_br %c, ^one, ^two
^one:
  %first = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %first : tensor<?x?xi32>
^two:
  %second = llm.block_table %kv, %others : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %second : tensor<?x?xi32>
}
