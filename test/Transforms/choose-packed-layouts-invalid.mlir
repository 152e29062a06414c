// RUN: llmir-opt %s --llm-choose-packed-layouts --split-input-file --verify-diagnostics

// expected-error @+1 {{expected a type with a packed form (a vector of f32, or a matrix of f32, f16, bf16, q8_0, q4_0 or q4_1), but got '!llm.quantized_tensor<i8, [32, 64], true, true, 1, 64, 8>'}}
llm.weight @coarse : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 64, 8>

// -----

// expected-error @+1 {{expected 'source_rows' of the 2 concatenated sources, but it is missing}}
llm.weight @unknown sources(["a", "b"]) : tensor<32x64xf16>
