// Attention ops: round trips.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

// CHECK-LABEL: func.func @padded
func.func @padded(%q: tensor<2x1x16x64xf16>, %kv: !kv, %table: tensor<2x128xi32>, %lens: tensor<2xi32>) -> tensor<2x1x16x64xf16> {
  // CHECK: llm.paged_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 16 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  %0 = llm.paged_attention %q, %kv, %table, %lens {scale = 0.125 : f32, num_heads = 16 : i32, head_dim = 64 : i32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return %0 : tensor<2x1x16x64xf16>
}

// CHECK-LABEL: func.func @ragged
func.func @ragged(%q: tensor<?x8x64xf32>, %kv: !kv, %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>, %i: index) {
  // CHECK: llm.paged_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} cu_lengths(%{{.*}}) {num_heads = 8 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32, layer = 11 : i32} : (tensor<?x8x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8x64xf32>
  %0 = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) {num_heads = 8 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 11 : i32} : (tensor<?x8x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8x64xf32>
  // CHECK: llm.paged_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} cu_lengths(%{{.*}}) layer(%{{.*}}) {num_heads = 8 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32} : (tensor<?x8x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, index) -> tensor<?x8x64xf32>
  %1 = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) layer(%i) {num_heads = 8 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<?x8x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>, index) -> tensor<?x8x64xf32>
  return
}
