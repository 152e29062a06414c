// All that the GPU's kernels do of attention and storage, in few kernels.
!window = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, window = 512, sinks = 4>
!int8 = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, key_storage = i8, value_storage = i8, key_scales = token, value_scales = head, scale = f16>
!int4 = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, key_storage = i4, value_storage = i4, key_scales = group, key_scale_group = 16, value_scales = token>
!fp8 = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, key_storage = f8E4M3FN, value_storage = f8E5M2>
!q = tensor<?x4x64xf16>
!k = tensor<?x2x64xf16>
!table = tensor<?x?xi32>
!ints = tensor<?xi32>

func.func @window(%q: !q, %kv: !window, %table: !table, %lens: !ints, %cu: !ints, %sinks: tensor<4xf32>) -> !q {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) sink_logits(%sinks)
      {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, soft_cap = 30.0 : f32, alibi_slopes = array<f32: 0.5, 0.25, 0.125, 0.0625>}
      : (!q, !window, !table, !ints, !ints, tensor<4xf32>) -> !q
  return %o : !q
}
func.func @int8(%q: !q, %kv0: !int8, %k: !k, %slots: !ints, %table: !table, %lens: !ints, %cu: !ints, %tree: tensor<?xi64>) -> (!q, !int8) {
  %kv1 = llm.store_kv %kv0, %k, %k, %slots : (!int8, !k, !k, !ints) -> !int8
  %o = llm.paged_attention %q, %kv1, %table, %lens cu_lengths(%cu) tree_mask(%tree)
      {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!q, !int8, !table, !ints, !ints, tensor<?xi64>) -> !q
  return %o, %kv1 : !q, !int8
}
func.func @int4(%q: !q, %kv0: !int4, %k: !k, %slots: !ints, %table: !table, %lens: !ints, %cu: !ints) -> (!q, !int4) {
  %kv1 = llm.store_kv %kv0, %k, %k, %slots : (!int4, !k, !k, !ints) -> !int4
  %o = llm.paged_attention %q, %kv1, %table, %lens cu_lengths(%cu)
      {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (!q, !int4, !table, !ints, !ints) -> !q
  return %o, %kv1 : !q, !int4
}
func.func @fp8(%q: !q, %kv0: !fp8, %k: !k, %slots: !ints, %table: !table, %lens: !ints, %cu: !ints) -> (!q, !fp8) {
  %kv1 = llm.store_kv %kv0, %k, %k, %slots : (!fp8, !k, !k, !ints) -> !fp8
  %o = llm.paged_attention %q, %kv1, %table, %lens cu_lengths(%cu)
      {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (!q, !fp8, !table, !ints, !ints) -> !q
  return %o, %kv1 : !q, !fp8
}
