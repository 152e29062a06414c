// Attention as two products and a softmax, for ../opt-level.mlir.
func.func @written_out(%q: tensor<4x7x64xf32>, %k: tensor<4x9x64xf32>, %v: tensor<4x9x64xf32>) -> tensor<4x7x64xf32> {
  %zero = arith.constant 0.0 : f32
  %0 = tensor.empty() : tensor<4x7x9xf32>
  %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %2 = linalg.batch_matmul
      indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
                       affine_map<(b, m, n, k) -> (b, n, k)>,
                       affine_map<(b, m, n, k) -> (b, m, n)>]
      ins(%q, %k : tensor<4x7x64xf32>, tensor<4x9x64xf32>)
      outs(%1 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %3 = linalg.softmax dimension(2) ins(%2 : tensor<4x7x9xf32>) outs(%0 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
  %4 = tensor.empty() : tensor<4x7x64xf32>
  %5 = linalg.fill ins(%zero : f32) outs(%4 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
  %6 = linalg.batch_matmul ins(%3, %v : tensor<4x7x9xf32>, tensor<4x9x64xf32>) outs(%5 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
  return %6 : tensor<4x7x64xf32>
}
