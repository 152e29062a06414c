// RUN: %check_pipelines %s
// What bufferisation makes of attention.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!heads = memref<2x1x2x64xf16>
func.func @attend(%q: !heads, %kv: !kv, %table: memref<2x128xi32>, %lens: memref<2xi32>) -> !heads {
  // error@+1: 'llm.paged_attention' op expected tensors, since it is lowered before bufferisation, but got 'memref<2x1x2x64xf16>'
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!heads, !kv, memref<2x128xi32>, memref<2xi32>) -> !heads
  return %o : !heads
}
