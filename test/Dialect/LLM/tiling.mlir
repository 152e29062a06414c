// Ops that treat tokens independently are tiled over tokens, and their producers fused into the loop.
// RUN: llmir-opt %s --transform-interpreter --canonicalize --cse --split-input-file --verify-diagnostics | FileCheck %s

llm.weight @norm : tensor<64xf32>
llm.weight @w : tensor<96x64xf32>

// CHECK-LABEL: func.func @tile
// CHECK-SAME:    %[[X:.*]]: tensor<?x64xf32>, %[[P:.*]]: tensor<?xi32>
func.func @tile(%x: tensor<?x64xf32>, %p: tensor<?xi32>) -> (tensor<?x2x16xf32>, tensor<?x4x16xf32>) {
  // CHECK: %[[R:.*]]:2 = scf.for %[[I:.*]] = {{.*}} iter_args(%[[A:.*]] = {{.*}}, %[[B:.*]] = {{.*}})
  // CHECK:   %[[N:.*]] = affine.min
  // CHECK:   %[[S:.*]] = tensor.extract_slice %[[X]][%[[I]], 0] [%[[N]], 64] [1, 1] : tensor<?x64xf32> to tensor<?x64xf32>
  // CHECK:   %[[L:.*]]:2 = llm.linear %[[S]], @qk : (tensor<?x64xf32>) -> (tensor<?x2x16xf32>, tensor<?x4x16xf32>)
  // CHECK:   tensor.insert_slice %[[L]]#0 into %[[A]][%[[I]], 0, 0] [%[[N]], 2, 16] [1, 1, 1]
  // CHECK:   tensor.insert_slice %[[L]]#1 into %[[B]][%[[I]], 0, 0] [%[[N]], 4, 16] [1, 1, 1]
  // CHECK: return %[[R]]#0, %[[R]]#1
  %0:2 = llm.linear %x, @qk : (tensor<?x64xf32>) -> (tensor<?x2x16xf32>, tensor<?x4x16xf32>)
  return %0#0, %0#1 : tensor<?x2x16xf32>, tensor<?x4x16xf32>
}
llm.weight @qk sources(["q", "k"]) : tensor<96x64xf32>

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.linear"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

llm.weight @norm : tensor<64xf32>

// The norms are computed for the tokens of a tile only; 24 tokens are whole tiles.
// CHECK-LABEL: func.func @fuse
func.func @fuse(%x: tensor<24x64xf32>, %y: tensor<24x64xf32>) -> tensor<24x64xf32> {
  // CHECK-NOT: llm.
  // CHECK: scf.for %[[I:.*]] = {{.*}} step %c8
  // CHECK: tensor.extract_slice %{{.*}}[%[[I]], 0] [8, 64] [1, 1] : tensor<24x64xf32> to tensor<8x64xf32>
  // CHECK: %[[G:.*]] = llm.rms_norm {{.*}} : tensor<8x64xf32>
  // CHECK: %[[U:.*]] = llm.layer_norm {{.*}} : tensor<8x64xf32>
  // CHECK: llm.geglu %[[G]], %[[U]] : tensor<8x64xf32>
  // CHECK-NOT: llm.
  // CHECK: return
  %0 = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<24x64xf32>
  %1 = llm.layer_norm %y, @norm epsilon(1.0e-5) : tensor<24x64xf32>
  %2 = llm.geglu %0, %1 : tensor<24x64xf32>
  return %2 : tensor<24x64xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.geglu"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.fuse %op tile_sizes [8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

llm.weight @embd : tensor<100x64xf32>
llm.weight @router : tensor<4x64xf32>
llm.weight @gate : tensor<128x64xf32>
llm.weight @down : tensor<256x32xf32>

// The other ops, each with all its tensors.
// CHECK-LABEL: func.func @others
func.func @others(%t: tensor<?xi32>, %q: tensor<?x4x16xf32>) -> (tensor<?x64xf32>, tensor<?x4x16xf32>) {
  // CHECK: scf.for
  // CHECK: tensor.extract_slice %{{.*}}[%{{.*}}] [%{{.*}}] [1] : tensor<?xi32> to tensor<?xi32>
  // CHECK: llm.embedding
  // CHECK: scf.for
  // CHECK: llm.moe
  // CHECK: scf.for
  // CHECK: llm.swiglu
  // CHECK: scf.for
  // CHECK: tensor.extract_slice %{{.*}}[%{{.*}}, 0, 0] [%{{.*}}, 4, 16] [1, 1, 1]
  // CHECK: tensor.extract_slice %{{.*}}[%{{.*}}] [%{{.*}}] [1] : tensor<?xi32> to tensor<?xi32>
  // CHECK: llm.rope
  %0 = llm.embedding %t, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %1 = llm.moe %0 router(@router) gate(@gate) up(@gate) down(@down) experts(1 of 4) : tensor<?x64xf32>
  %2 = llm.swiglu %0, %1 : tensor<?x64xf32>
  %3 = llm.rope %q positions(%t) theta(1.0e+4) rotary_dim(16) half : tensor<?x4x16xf32>, tensor<?xi32>
  return %2, %3 : tensor<?x64xf32>, tensor<?x4x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.embedding", "llm.moe", "llm.swiglu", "llm.rope"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
