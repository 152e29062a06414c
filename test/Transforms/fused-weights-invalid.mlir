// RUN: llmir-opt %s --split-input-file --verify-diagnostics
// What fusing writes down is verified: the rows of each source.

// expected-error @+1 {{expected 'source_rows' to give the rows of 2 sources, but got 1}}
llm.weight @w sources(["a", "b"]) source_rows([96]) : tensor<96x64xf32>

// -----

// expected-error @+1 {{expected each of 'source_rows' to be in 1..96, but got 128}}
llm.weight @w sources(["a", "b"]) source_rows([128, -32]) : tensor<96x64xf32>

// -----

// expected-error @+1 {{expected 'source_rows' to add up to the weight's 96 rows, but got 64}}
llm.weight @w sources(["a", "b"]) source_rows([32, 32]) : tensor<96x64xf32>

// -----

// expected-error @+1 {{expected interleaved sources to have equally many rows}}
llm.weight @w sources(["a", "b"]) source_rows([32, 64]) arrangement(interleave) : tensor<96x64xf32>

// -----

llm.weight @w sources(["a", "b"]) source_rows([32, 64]) : tensor<96x64xf32>
func.func @swapped(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected result 0 to have 32 features, the rows of its source in @w, but got 64}}
  %a, %b = llm.linear %x, @w : (tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x32xf32>)
  return %a : tensor<?x64xf32>
}
