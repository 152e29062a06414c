// RUN: %check_pipelines %s
// A step whose result is not its logits: the runtime would read what nobody wrote.
!kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 128>
llm.weight @embd : tensor<96x64xf32>
llm.weight @w : tensor<64x64xf32>
// error(gpu,ptx,hsaco)@+1: 'func.func' op expected functions that manage a cache themselves for a GPU, but got a step
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x64xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %logits = llm.logits %x, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  // error@+2: 'func.return' op expected result 0 of a step to be its logits, but got
  // error(optimize,cpu)@+1: 'func.return' op expected 1 results of a step, its caches in order, but got 2
  return %x, %kv : tensor<?x64xf32>, !kv
}
