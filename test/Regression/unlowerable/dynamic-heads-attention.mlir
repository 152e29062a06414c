// RUN: %check_pipelines %s
// A query of an unknown number of heads.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @attend(%q: tensor<2x?x?x64xf16>, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>) -> tensor<2x?x?x64xf16> {
  // error@+1: 'llm.paged_attention' op expected operand 0 with a known number of heads and a known head size, but got 'tensor<2x?x?x64xf16>'
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<2x?x?x64xf16>, !kv, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x?x?x64xf16>
  return %o : tensor<2x?x?x64xf16>
}
