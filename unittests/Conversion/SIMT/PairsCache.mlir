// A cache of bf16 pairs, which only the GPU's kernels read: two channels of a key and two tokens of a
// value side by side.
!kv = !llm.paged_kv_cache<bf16, 2, 2, 12, 6, 2048, layout = pairs>
!heads = tensor<?x4x12xf32>
!keys = tensor<?x2x12xf32>

func.func @pairs_store(%kv: !kv, %k: !keys, %v: !keys, %slots: tensor<?xi32>) -> !kv {
  %new = llm.store_kv %kv, %k, %v, %slots {layer = 1 : i32} : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  return %new : !kv
}

func.func @pairs_attend(%q: !heads, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
                        %cu: tensor<?xi32>) -> !heads {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 4 : i32, head_dim = 12 : i32, scale = 0.25 : f32, layer = 1 : i32}
      : (!heads, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> !heads
  return %o : !heads
}
