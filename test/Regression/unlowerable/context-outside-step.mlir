// RUN: %check_pipelines %s
// A step's context in a function that is no step.
// error@+1: 'func.func' op expected ranked tensors, caches and plain types in the signature of a function over a cache, but got '!llm.step_context'
func.func @context(%context: !llm.step_context, %x: i32) -> i32 {
  return %x : i32
}
