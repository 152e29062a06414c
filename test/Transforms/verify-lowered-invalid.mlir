// Without a list of dialects, what is of the llm dialect is what is left.
// RUN: llmir-opt %s --llm-verify-lowered --split-input-file --verify-diagnostics -o /dev/null

// expected-error @+1 {{'llm.weight' op expected to be lowered, but got an op of the llm dialect}}
llm.weight @w : tensor<64xf32>

// -----

// A type in a signature, and in nothing else.
// expected-error @+1 {{'func.func' op expected types that are lowered, but got '!llm.step_context'}}
func.func private @context(!llm.step_context)

// -----

// A type of a value.
func.func @cast(%pointer: !llvm.ptr) {
  // expected-error @+1 {{'builtin.unrealized_conversion_cast' op expected types that are lowered, but got '!llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>'}}
  %kv = builtin.unrealized_conversion_cast %pointer : !llvm.ptr to !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
  return
}
