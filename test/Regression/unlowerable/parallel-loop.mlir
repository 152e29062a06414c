// RUN: %check_pipelines %s
// A loop whose iterations may run at the same time, over a tensor.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @parallel(%kv: !kv, %seqs: tensor<8xi32>, %one: tensor<1xi32>) -> tensor<8x?xi32> {
  // error@+1: 'scf.forall' op expected scalars or buffers, as scf, func and llm ops alone take tensors and caches in a function over a cache, but got 'tensor<8xi32>'
  %same = scf.forall (%i) in (8) shared_outs(%out = %seqs) -> tensor<8xi32> {
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %one into %out[%i] [1] [1] : tensor<1xi32> into tensor<8xi32>
    }
  }
  %table = llm.block_table %kv, %same : (!kv, tensor<8xi32>) -> tensor<8x?xi32>
  return %table : tensor<8x?xi32>
}
