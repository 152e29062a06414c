// REQUIRES: lld
// RUN: %check_pipelines %s
// A layout that the CPU stores into and does not read yet; a GPU has both.
// accepts: optimize, gpu, ptx, hsaco
!kv = !llm.paged_kv_cache<bf16, 2, 2, 64, 16, 4096, layout = token_major>
func.func @attend(%q: tensor<2x1x2x64xbf16>, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>) -> tensor<2x1x2x64xbf16> {
  // error(cpu)@+1: 'llm.paged_attention' op expected a cache with keys by channel or in pairs for the CPU's attention
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (tensor<2x1x2x64xbf16>, !kv, tensor<2x?xi32>, tensor<2xi32>) -> tensor<2x1x2x64xbf16>
  return %o : tensor<2x1x2x64xbf16>
}
