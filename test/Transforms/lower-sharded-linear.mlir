// Each rank's part of the products.
// RUN: llmir-opt %s --llm-lower-sharded-linear='world-size=2 rank=0' | FileCheck %s --check-prefixes=CHECK,RANK0
// RUN: llmir-opt %s --llm-lower-sharded-linear='world-size=2 rank=1' | FileCheck %s --check-prefixes=CHECK,RANK1
// RUN: llmir-opt %s --llm-lower-sharded-linear='world-size=2 rank=1' --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS-DAG: llm-lower-sharded-linear: 4 products-lowered
// STATISTICS-DAG: llm-lower-sharded-linear: 2 all-reduces

// RANK0: llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) shard<0, 2, 0> : tensor<64x64xf32>
// RANK1: llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) shard<0, 2, 1> : tensor<64x64xf32>
// RANK1: llm.weight @down shard<1, 2, 1> : tensor<64x32xf32>
// RANK1: llm.weight @bias : tensor<64xf32>
// CHECK: llm.weight @norm : tensor<64xf32>
// RANK1: llm.weight @shared : tensor<64x64xf32>
// RANK1: llm.weight @shared.part sources(["shared"]) shard<0, 2, 1> : tensor<32x64xf32>
llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<128x64xf32>
llm.weight @down : tensor<64x64xf32>
llm.weight @bias : tensor<64xf32>
llm.weight @norm : tensor<64xf32>
llm.weight @shared : tensor<64x64xf32>
llm.weight @row : !llm.quantized_tensor<i8, [64, 128], true, true, 1, 32, 8, scale = f16>

// CHECK-LABEL: func.func @network
func.func @network(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
  // CHECK: %[[H:.*]] = llm.linear %[[X:.*]], @gate_up norm(@norm, 9.99999974E-6) epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %h = llm.sharded_linear %x, @gate_up, %context split(output) shards(2) norm(@norm, 1.0e-5)
      epilogue(swiglu) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  // The first rank alone adds the bias.
  // RANK0: %[[P:.*]] = llm.linear %[[H]], @down bias(@bias) : (tensor<?x32xf32>) -> tensor<?x64xf32>
  // RANK1: %[[P:.*]] = llm.linear %[[H]], @down : (tensor<?x32xf32>) -> tensor<?x64xf32>
  // CHECK: %[[S:.*]] = llm.all_reduce %[[P]], %{{.*}} shards(2) : tensor<?x64xf32>
  // CHECK: %[[Y:.*]] = arith.addf %[[X]], %[[S]]
  %y = llm.sharded_linear %h, @down, %context split(input) shards(2) bias(@bias) residual(%x)
      : (tensor<?x32xf32>, !llm.step_context, tensor<?x64xf32>) -> tensor<?x64xf32>
  // CHECK: return %[[Y]]
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @other_users
func.func @other_users(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
  // CHECK: llm.linear %{{.*}}, @shared.part : (tensor<?x64xf32>) -> tensor<?x32xf32>
  // CHECK: llm.linear %{{.*}}, @shared : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %part = llm.sharded_linear %x, @shared, %context split(output) shards(2)
      : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x32xf32>
  %y = llm.linear %x, @shared : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// CHECK-LABEL: func.func @quantized
func.func @quantized(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
  // CHECK: llm.linear %{{.*}}, @row activations(i8)
  // CHECK-NEXT: llm.all_reduce
  %y = llm.sharded_linear %x, @row, %context split(input) shards(2) activations(i8)
      : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
