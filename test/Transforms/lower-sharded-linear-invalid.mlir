// RUN: llmir-opt %s --llm-lower-sharded-linear='world-size=2 rank=1' --split-input-file --verify-diagnostics
// RUN: not llmir-opt %s --split-input-file --llm-lower-sharded-linear='world-size=2 rank=2' 2>&1 | FileCheck %s

// CHECK: error: expected a rank below the size of its world, but got rank 2 of 2

llm.weight @w : tensor<64x64xf32>
func.func @shards(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x16xf32> {
  // expected-error @+1 {{expected as many shards as ranks, 2, but got 4}}
  %y = llm.sharded_linear %x, @w, %context split(output) shards(4)
      : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

llm.weight @w : !llm.quantized_tensor<i8, [64, 96], true, true, 1, 32, 8, scale = f16>
func.func @groups(%x: tensor<?x48xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected 2 ranks to divide the 96 columns of "w" in whole groups of 32}}
  %y = llm.sharded_linear %x, @w, %context split(input) shards(2)
      : (tensor<?x48xf32>, !llm.step_context) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

llm.weight @w shard<0, 2, 0> : tensor<64x64xf32>
func.func @again(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x32xf32> {
  // expected-error @+1 {{expected the whole weight "w", but got a shard of it}}
  %y = llm.sharded_linear %x, @w, %context split(output) shards(2)
      : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
