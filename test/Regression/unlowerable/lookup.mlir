// RUN: %check_pipelines %s
// No kernel reads a cache back as a tensor.
// accepts: optimize, cpu
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @lookup(%kv: !kv, %table: tensor<2x128xi32>, %lens: tensor<2xi32>) -> tensor<2x?x16x64xf16> {
  // error(gpu,ptx,hsaco)@+1: 'llm.lookup_kv' op cannot be lowered to a GPU
  %k, %v = llm.lookup_kv %kv, %table, %lens : (!kv, tensor<2x128xi32>, tensor<2xi32>)
      -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
  return %k : tensor<2x?x16x64xf16>
}
