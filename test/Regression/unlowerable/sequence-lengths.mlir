// RUN: %check_pipelines %s
// The scheduler knows how long sequences are.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @lengths(%kv: !kv, %seqs: tensor<2xi32>) -> tensor<2xi32> {
  // error@+2: 'llm.sequence_lengths' op cannot be lowered outside a step
  // error(gpu,ptx,hsaco)@+1: 'llm.sequence_lengths' op cannot be lowered to a GPU
  %lengths = llm.sequence_lengths %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
  return %lengths : tensor<2xi32>
}
