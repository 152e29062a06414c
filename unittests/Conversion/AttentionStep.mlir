// A step of two attention layers, for SplitAttentionTest.cpp.
!kv = !llm.paged_kv_cache<f16, 2, 3, 64, 16, 4096, window = 3000, sinks = 4>
!heads = tensor<?x9x64xf32>
llm.weight @embedding : tensor<16x64xf32>
llm.weight @query : tensor<576x64xf32>
llm.weight @back : tensor<64x576xf32>
llm.weight @head : tensor<16x64xf32>
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %tree: tensor<?xi64>, %rows: tensor<?xi32>)
    -> (tensor<?x16xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embedding : tensor<?xi32> -> tensor<?x64xf32>
  %q = llm.linear %x, @query : (tensor<?x64xf32>) -> !heads
  %a = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 9 : i32, head_dim = 64 : i32, scale = 0.5 : f32, layer = 0 : i32}
      : (!heads, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> !heads
  %b = llm.paged_attention %a, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 9 : i32, head_dim = 64 : i32, scale = 0.5 : f32, layer = 1 : i32}
      : (!heads, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> !heads
  %y = llm.linear %b, @back : (!heads) -> tensor<?x64xf32>
  %logits = llm.logits %y, %rows, @head : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x16xf32>
  return %logits, %kv : tensor<?x16xf32>, !kv
}
