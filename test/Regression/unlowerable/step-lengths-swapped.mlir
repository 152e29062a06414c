// RUN: %check_pipelines %s
// Cumulative lengths where the lengths of contexts belong.
!kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 128>
llm.weight @embd : tensor<96x64xf32>
llm.weight @w : tensor<64x64xf32>
// error(gpu,ptx,hsaco)@+1: 'func.func' op expected functions that manage a cache themselves for a GPU, but got a step
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %k = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  // error@+1: 'llm.paged_attention' op expected 'seq_lens' to be the step's context lengths, but got argument 3
  %o = llm.paged_attention %k, %kv, %table, %cu cu_lengths(%lens) {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %y = llm.linear %o, @w : (tensor<?x2x32xf32>) -> tensor<?x64xf32>
  %logits = llm.logits %y, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv : tensor<?x96xf32>, !kv
}
