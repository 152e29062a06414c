// What a tile cannot say is not tiled. Causal tokens with lengths of their own: where the keys of a
// tile end is a number in a tensor. Slopes of heads are an attribute. The tokens of some ragged
// sequences are known only in the step.
// RUN: not llmir-opt %s --transform-interpreter --split-input-file 2>&1 | FileCheck %s
// CHECK: error: 'llm.attention' op fail
// CHECK: error: 'llm.attention' op fail
// CHECK: error: 'llm.paged_attention' op fail

func.func @lengths(%q: tensor<4x8x6x16xf32>, %l: tensor<4xi32>) -> tensor<4x8x6x16xf32> {
  %0 = llm.attention %q, %q, %q key_lengths(%l) {num_heads = 6 : i32, scale = 0.25 : f32, causal} : (tensor<4x8x6x16xf32>, tensor<4x8x6x16xf32>, tensor<4x8x6x16xf32>, tensor<4xi32>) -> tensor<4x8x6x16xf32>
  return %0 : tensor<4x8x6x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [1, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

func.func @slopes(%q: tensor<4x8x2x16xf32>) -> tensor<4x8x2x16xf32> {
  %0 = llm.attention %q, %q, %q {num_heads = 2 : i32, scale = 0.25 : f32, alibi_slopes = array<f32: 0.5, 0.25>} : (tensor<4x8x2x16xf32>, tensor<4x8x2x16xf32>, tensor<4x8x2x16xf32>) -> tensor<4x8x2x16xf32>
  return %0 : tensor<4x8x2x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [0, 0, 1] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
func.func @ragged(%q: tensor<?x4x16xf32>, %kv: !kv, %t: tensor<2x8xi32>, %s: tensor<2xi32>, %cu: tensor<3xi32>) -> tensor<?x4x16xf32> {
  %0 = llm.paged_attention %q, %kv, %t, %s cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32} : (tensor<?x4x16xf32>, !kv, tensor<2x8xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<?x4x16xf32>
  return %0 : tensor<?x4x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.paged_attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loop = transform.structured.tile_using_for %op tile_sizes [1] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
