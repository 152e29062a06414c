// RUN: %check_pipelines %s
// The scheduler ends sequences.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @free(%kv0: !kv, %seqs: tensor<2xi32>) -> !kv {
  // error@+2: 'llm.free_sequences' op cannot be lowered outside a step
  // error(gpu,ptx,hsaco)@+1: 'llm.free_sequences' op cannot be lowered to a GPU
  %kv1 = llm.free_sequences %kv0, %seqs : (!kv, tensor<2xi32>) -> !kv
  return %kv1 : !kv
}
