// RUN: %check_pipelines %s
// What bufferisation makes of a block table.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @table(%kv: !kv, %seqs: memref<?xi32>) -> memref<?x?xi32> {
  // error@+1: 'llm.block_table' op expected tensors, since it is lowered before bufferisation, but got 'memref<?xi32>'
  %table = llm.block_table %kv, %seqs : (!kv, memref<?xi32>) -> memref<?x?xi32>
  return %table : memref<?x?xi32>
}
