// RUN: %check_pipelines %s
// Arithmetic on tensors beside a cache.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @tensors(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  // error@+1: 'arith.addi' op expected scalars or buffers, as scf, func and llm ops alone take tensors and caches in a function over a cache, but got 'tensor<?x?xi32>'
  %sum = arith.addi %table, %table : tensor<?x?xi32>
  return %sum : tensor<?x?xi32>
}
