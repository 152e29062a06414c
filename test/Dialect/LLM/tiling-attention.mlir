// Attention is tiled over batch, tokens and KV heads, logits over rows, products with quantised
// values over tokens.
// RUN: llmir-opt %s --transform-interpreter --canonicalize --cse --split-input-file | FileCheck %s

// Two sequences, four tokens and one KV head with its three query heads a tile; causal tokens need
// only the keys up to the tile's last token.
// CHECK-LABEL: func.func @padded
// CHECK-SAME: (%[[Q:.*]]: tensor<4x8x6x16xf32>, %[[K:.*]]: tensor<4x24x2x16xf32>, %[[V:.*]]: tensor<4x24x2x32xf32>, %[[S:.*]]: tensor<6xf32>)
// CHECK: scf.for %[[B:.*]] = %c0 to %c4 step %c2
// CHECK: scf.for %[[T:.*]] = %c0 to %c8 step %c4
// CHECK: scf.for %[[G:.*]] = %c0 to %c2 step %c1
// CHECK-DAG: %[[N:.*]] = affine.max #{{.*}}()[%[[T]]]
// CHECK-DAG: %[[H:.*]] = affine.apply #{{.*}}()[%[[G]]]
// CHECK-DAG: %[[QT:.*]] = tensor.extract_slice %[[Q]][%[[B]], %[[T]], %[[H]], 0] [2, 4, 3, 16] [1, 1, 1, 1]
// CHECK-DAG: %[[KT:.*]] = tensor.extract_slice %[[K]][%[[B]], 0, %[[G]], 0] [2, %[[N]], 1, 16] [1, 1, 1, 1]
// CHECK-DAG: %[[VT:.*]] = tensor.extract_slice %[[V]][%[[B]], 0, %[[G]], 0] [2, %[[N]], 1, 32] [1, 1, 1, 1]
// CHECK-DAG: %[[ST:.*]] = tensor.extract_slice %[[S]][%[[H]]] [3] [1]
// CHECK: %[[O:.*]] = llm.attention %[[QT]], %[[KT]], %[[VT]] sink_logits(%[[ST]]) {num_heads = 3 : i32, scale = 2.500000e-01 : f32, causal, window = 8 : i32} : (tensor<2x4x3x16xf32>, tensor<2x?x1x16xf32>, tensor<2x?x1x32xf32>, tensor<3xf32>) -> tensor<2x4x3x32xf32>
// CHECK: tensor.insert_slice %[[O]] into %{{.*}}[%[[B]], %[[T]], %[[H]], 0] [2, 4, 3, 32]
func.func @padded(%q: tensor<4x8x6x16xf32>, %k: tensor<4x24x2x16xf32>, %v: tensor<4x24x2x32xf32>, %s: tensor<6xf32>) -> tensor<4x8x6x32xf32> {
  %0 = llm.attention %q, %k, %v sink_logits(%s) {num_heads = 6 : i32, scale = 0.25 : f32, causal, window = 8 : i32} : (tensor<4x8x6x16xf32>, tensor<4x24x2x16xf32>, tensor<4x24x2x32xf32>, tensor<6xf32>) -> tensor<4x8x6x32xf32>
  return %0 : tensor<4x8x6x32xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:3 = transform.structured.tile_using_for %op tile_sizes [2, 4, 1] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

// A mask for all batches and heads is cut along its queries alone; lengths along the batch.
// CHECK-LABEL: func.func @masked
// CHECK: tensor.extract_slice %{{.*}}[0, 0, %[[T:.*]], 0] [1, 1, %{{.*}}, 24] [1, 1, 1, 1] : tensor<1x1x?x24xi1> to tensor<1x1x?x24xi1>
// CHECK: tensor.extract_slice %{{.*}}[%{{.*}}] [1] [1] : tensor<4xi32> to tensor<1xi32>
// CHECK: llm.attention {{.*}} {num_heads = 6 : i32, scale = 2.500000e-01 : f32}
func.func @masked(%q: tensor<4x?x6x16xf32>, %k: tensor<4x24x2x16xf32>, %m: tensor<1x1x?x24xi1>, %l: tensor<4xi32>) -> tensor<4x?x6x16xf32> {
  %0 = llm.attention %q, %k, %k mask(%m) key_lengths(%l) {num_heads = 6 : i32, scale = 0.25 : f32} : (tensor<4x?x6x16xf32>, tensor<4x24x2x16xf32>, tensor<4x24x2x16xf32>, tensor<1x1x?x24xi1>, tensor<4xi32>) -> tensor<4x?x6x16xf32>
  return %0 : tensor<4x?x6x16xf32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %op = transform.structured.match ops{["llm.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %tiled, %loops:2 = transform.structured.tile_using_for %op tile_sizes [1, 4] : (!transform.any_op) -> (!transform.any_op, !transform.any_op, !transform.any_op)
    transform.yield
  }
}

// -----

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
llm.weight @w : tensor<100x64xf32>

// CHECK-LABEL: func.func @others
// CHECK: scf.for
// CHECK: tensor.extract_slice %{{.*}}[0, %{{.*}}, 0] [%{{.*}}, 2, 16] [1, 1, 1] : tensor<?x4x16xf32> to tensor<?x2x16xf32>
// CHECK: llm.attention {{.*}} cu_lengths({{.*}}) {num_heads = 2 : i32
// CHECK: scf.for
// CHECK: tensor.extract_slice %{{.*}}[%{{.*}}, 0] [1, 8] [1, 1] : tensor<2x8xi32> to tensor<1x8xi32>
// CHECK: llm.paged_attention {{.*}} : (tensor<1x3x4x16xf32>, !kv, tensor<1x8xi32>, tensor<1xi32>) -> tensor<1x3x4x16xf32>
// CHECK: scf.for
// CHECK: llm.logits %{{.*}}, %{{.*}}, @w : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x100xf32>
// CHECK: scf.for
// CHECK: llm.quantized_matmul {{.*}} : (tensor<?x64xf32>, !llm.quantized_tensor<{{.*}}>) -> tensor<?x48xf32>
// CHECK: scf.for
// CHECK: llm.sample
func.func @others(%q: tensor<?x4x16xf32>, %cu: tensor<?xi32>, %p: tensor<2x3x4x16xf32>, %kv: !kv, %t: tensor<2x8xi32>, %s: tensor<2xi32>, %x: tensor<?x64xf32>, %rows: tensor<?xi32>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> (tensor<?x4x16xf32>, tensor<2x3x4x16xf32>, tensor<?x48xf32>, tensor<?xi32>) {
  %0 = llm.attention %q, %q, %q cu_lengths(%cu) {num_heads = 4 : i32, scale = 0.25 : f32, causal} : (tensor<?x4x16xf32>, tensor<?x4x16xf32>, tensor<?x4x16xf32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  %1 = llm.paged_attention %p, %kv, %t, %s {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32} : (tensor<2x3x4x16xf32>, !kv, tensor<2x8xi32>, tensor<2xi32>) -> tensor<2x3x4x16xf32>
  %2 = llm.logits %x, %rows, @w : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x100xf32>
  %3 = llm.quantized_matmul %x, %w : (tensor<?x64xf32>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x48xf32>
  %4 = llm.sample %2 : (tensor<?x100xf32>) -> tensor<?xi32>
  return %0, %1, %3, %4 : tensor<?x4x16xf32>, tensor<2x3x4x16xf32>, tensor<?x48xf32>, tensor<?xi32>
}

module attributes {transform.with_named_sequence} {
  transform.named_sequence @__transform_main(%root: !transform.any_op {transform.readonly}) {
    %a = transform.structured.match ops{["llm.attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %0, %loop0 = transform.structured.tile_using_for %a tile_sizes [2] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %b = transform.structured.match ops{["llm.paged_attention"]} in %root : (!transform.any_op) -> !transform.any_op
    %1, %loop1 = transform.structured.tile_using_for %b tile_sizes [1] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    %c = transform.structured.match ops{["llm.logits", "llm.quantized_matmul", "llm.sample"]} in %root : (!transform.any_op) -> !transform.any_op
    %2, %loop2 = transform.structured.tile_using_for %c tile_sizes [8] : (!transform.any_op) -> (!transform.any_op, !transform.any_op)
    transform.yield
  }
}
