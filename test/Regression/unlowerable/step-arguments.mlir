// RUN: %check_pipelines %s
// A step without a step's arguments.
!kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 128>
// error(gpu,ptx,hsaco)@+2: 'func.func' op expected functions that manage a cache themselves for a GPU, but got a step
// error@+1: expected a step's arguments (context, tokens, positions
func.func @step(%tokens: tensor<?xi32>, %kv: !kv) -> !kv attributes {llm.step} {
  return %kv : !kv
}
