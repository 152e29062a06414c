// llm.weight and module attributes that are refused, one case a message.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

// (W-1)
// expected-error @+1 {{'llm.weight' op expected elements of type f32, f16 or bf16, but got 'i8'}}
llm.weight @w : tensor<4x4xi8>

// -----

// (W-1)
// expected-error @+1 {{'llm.weight' op expected a ranked tensor or a quantised tensor, but got 'f32'}}
llm.weight @w : f32

// -----

// (W-2)
// expected-error @+1 {{'llm.weight' op expected a vector or a matrix, but got rank 3}}
llm.weight @w : tensor<4x4x4xf32>

// -----

// (W-3)
// expected-error @+1 {{'llm.weight' op expected dimensions that are known and positive, but got 'tensor<?x4xf32>'}}
llm.weight @w : tensor<?x4xf32>

// -----

// (W-3)
// expected-error @+1 {{'llm.weight' op expected dimensions that are known and positive}}
llm.weight @w : !llm.quantized_tensor<i8, [?, 32], true, true, 1, 32, 8>

// -----

// (W-4)
// expected-error @+1 {{'llm.weight' op expected 'sources' to name at least one tensor}}
llm.weight @w sources([]) : tensor<4x4xf32>

// -----

// (W-5)
// expected-error @+1 {{'llm.weight' op expected a weight of 2 sources to be a matrix}}
llm.weight @w sources(["a", "b"]) : tensor<4xf32>

// -----

// (W-6)
// expected-error @+1 {{'llm.weight' op expected interleaved weights to have at least 2 sources, but got 1}}
llm.weight @w sources(["a"]) arrangement(interleave) : tensor<4x4xf32>

// -----

// (W-7)
// expected-error @+1 {{'llm.weight' op expected the number of interleaved sources to divide the 5 rows, but got 2}}
llm.weight @w sources(["a", "b"]) arrangement(interleave) : tensor<5x4xf32>

// -----

// (W-8)
// expected-error @+1 {{'llm.weight' op expected 'offset' to be a multiple of 64, but got 32}}
llm.weight @w offset(32) : tensor<4x4xf32>

// -----

// (W-8)
// expected-error @+1 {{'llm.weight' op expected 'offset' not to be negative, but got -64}}
llm.weight @w offset(-64) : tensor<4x4xf32>

// -----

// (MOD-1)
// expected-error @+1 {{expected 'llm.step' to be on a function}}
module attributes {llm.step} {}

// -----

// (MOD-1)
// expected-error @+1 {{expected 'llm.step' to be a unit attribute, but got 1 : i32}}
func.func private @f() attributes {llm.step = 1 : i32}

// -----

// (MOD-2)
// expected-error @+1 {{expected 'llm.name' to be a string, but got 1 : i32}}
module attributes {llm.name = 1 : i32} {}

// -----

// (MOD-3)
// expected-error @+1 {{expected 'llm.vocabulary_size' to be a positive integer, but got 0 : i64}}
module attributes {llm.vocabulary_size = 0 : i64} {}

// -----

// (W-9)
// expected-error @+1 {{'llm.weight' op expected 'source_rows' to give the rows of 2 sources, but got 1}}
llm.weight @w sources(["a", "b"]) source_rows([4]) : tensor<4x4xf32>

// -----

// (W-10)
// expected-error @+1 {{'llm.weight' op expected each of 'source_rows' to be in 1..4, but got 5}}
llm.weight @w sources(["a", "b"]) source_rows([5, -1]) : tensor<4x4xf32>

// -----

// (W-11)
// expected-error @+1 {{'llm.weight' op expected 'source_rows' to add up to the weight's 4 rows, but got 3}}
llm.weight @w sources(["a", "b"]) source_rows([1, 2]) : tensor<4x4xf32>

// -----

// (W-12)
// expected-error @+1 {{'llm.weight' op expected interleaved sources to have equally many rows}}
llm.weight @w sources(["a", "b"]) source_rows([1, 3]) arrangement(interleave) : tensor<4x4xf32>

// -----

// (W-14)
// expected-error @+1 {{'llm.weight' op expected the dimension of its shard to be less than the rank 1, but got 1}}
llm.weight @w shard<1, 2, 0> : tensor<4xf32>

// -----

// (WS-1)
// expected-error @+1 {{expected the dimension of a weight's shard to be 0 or 1, but got 2}}
llm.weight @w shard<2, 2, 0> : tensor<4x4xf32>

// -----

// (WS-2)
// expected-error @+1 {{expected at least one shard, but got 0}}
llm.weight @w shard<0, 0, 0> : tensor<4x4xf32>

// -----

// (WS-3)
// expected-error @+1 {{expected the index of a shard to be less than 2, but got 2}}
llm.weight @w shard<0, 2, 2> : tensor<4x4xf32>
