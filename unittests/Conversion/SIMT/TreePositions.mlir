// Trees of drafts whose positions are not their places in the cache, with all that asks for positions:
// a window with sinks, and ALiBi.
!kv = !llm.paged_kv_cache<f32, 1, 2, 16, 4, 2048, window = 20, sinks = 3>
!heads = tensor<?x4x16xf32>
!keys = tensor<?x2x16xf32>

func.func @tree_store(%kv: !kv, %k: !keys, %v: !keys, %slots: tensor<?xi32>) -> !kv {
  %new = llm.store_kv %kv, %k, %v, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  return %new : !kv
}

func.func @tree_attend(%q: !heads, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>,
                       %cu: tensor<?xi32>, %tree: tensor<?xi64>, %positions: tensor<?xi32>) -> !heads {
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) tree_mask(%tree) positions(%positions)
      {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32, window = 20 : i32,
       alibi_slopes = array<f32: 0.5, 0.25, 0.125, 0.0625>}
      : (!heads, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi64>, tensor<?xi32>) -> !heads
  return %o : !heads
}
