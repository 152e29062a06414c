// RUN: %check_pipelines %s
// A layer as an operand. A constant becomes an attribute where ops are simplified first.
// accepts: optimize, cpu
!kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 128>
llm.weight @embd : tensor<96x64xf32>
llm.weight @w : tensor<64x64xf32>
// error(gpu,ptx,hsaco)@+1: 'func.func' op expected functions that manage a cache themselves for a GPU, but got a step
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %k = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  // error@+1: 'arith.constant' op cannot be lowered in a step; expected llm ops over ragged batches
  %layer = arith.constant 0 : index
  %kv1 = llm.store_kv %kv, %k, %k, %slots layer(%layer)
      : (!kv, tensor<?x2x32xf32>, tensor<?x2x32xf32>, tensor<?xi32>, index) -> !kv
  %logits = llm.logits %x, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv1 : tensor<?x96xf32>, !kv
}
