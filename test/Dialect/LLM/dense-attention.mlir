// Dense attention: round trips, and masks and windows that hide nothing.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize | FileCheck %s --check-prefix=CANON

// CHECK-LABEL: func.func @padded
func.func @padded(%q: tensor<2x7x8x64xf16>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x80xf32>, %mask: tensor<2x8x7x9xf32>, %lens: tensor<2xi32>, %s: tensor<8xf32>) -> tensor<2x7x8x80xf16> {
  // CHECK: llm.attention %{{.*}}, %{{.*}}, %{{.*}} mask(%{{.*}}) key_lengths(%{{.*}}) sink_logits(%{{.*}}) {num_heads = 8 : i32, scale = 1.250000e-01 : f32, soft_cap = 5.000000e+01 : f32, alibi_slopes = array<f32: 8.000000e+00, 7.000000e+00, 6.000000e+00, 5.000000e+00, 4.000000e+00, 3.000000e+00, 2.000000e+00, 1.000000e+00>} :
  // CANON: llm.attention %{{.*}}, %{{.*}}, %{{.*}} mask(
  %0 = llm.attention %q, %k, %v mask(%mask) key_lengths(%lens) sink_logits(%s)
      {alibi_slopes = array<f32: 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0>, soft_cap = 50.0 : f32, num_heads = 8 : i32, scale = 0.125 : f32}
      : (tensor<2x7x8x64xf16>, tensor<2x9x2x64xf32>, tensor<2x9x2x80xf32>, tensor<2x8x7x9xf32>, tensor<2xi32>, tensor<8xf32>) -> tensor<2x7x8x80xf16>
  return %0 : tensor<2x7x8x80xf16>
}

// CHECK-LABEL: func.func @ragged
func.func @ragged(%q: tensor<?x8x576xbf16>, %k: tensor<?x1x576xbf16>, %v: tensor<?x1x512xbf16>, %cu: tensor<?xi32>, %cuk: tensor<?xi32>) -> tensor<?x8x512xbf16> {
  // CHECK: llm.attention %{{.*}}, %{{.*}}, %{{.*}} cu_lengths(%{{.*}}) cu_key_lengths(%{{.*}}) {num_heads = 8 : i32, scale = 1.250000e-01 : f32, causal, window = 256 : i32, num_sinks = 4 : i32} :
  // CANON: causal, window = 256
  %0 = llm.attention %q, %k, %v cu_lengths(%cu) cu_key_lengths(%cuk)
      {num_heads = 8 : i32, scale = 0.125 : f32, num_sinks = 4 : i32, window = 256 : i32, causal}
      : (tensor<?x8x576xbf16>, tensor<?x1x576xbf16>, tensor<?x1x512xbf16>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x8x512xbf16>
  return %0 : tensor<?x8x512xbf16>
}

// CANON-LABEL: func.func @hide_nothing
func.func @hide_nothing(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x4x8xf32>, %q1: tensor<2x1x4x8xf32>) -> (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x1x4x8xf32>) {
  // CANON-NEXT: llm.attention %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 4 : i32, scale = 1.000000e+00 : f32} :
  %all = arith.constant dense<true> : tensor<1x1x3x3xi1>
  %0 = llm.attention %q, %k, %k mask(%all) {num_heads = 4 : i32, scale = 1.0 : f32} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<1x1x3x3xi1>) -> tensor<2x3x4x8xf32>
  // CANON-NEXT: llm.attention %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 4 : i32, scale = 2.000000e+00 : f32} :
  %zero = arith.constant dense<0.0> : tensor<1x1x3x3xf32>
  %1 = llm.attention %q, %k, %k mask(%zero) {num_heads = 4 : i32, scale = 2.0 : f32} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<1x1x3x3xf32>) -> tensor<2x3x4x8xf32>
  // CANON-NEXT: llm.attention %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 4 : i32, scale = 3.000000e+00 : f32, causal} :
  %2 = llm.attention %q, %k, %k {num_heads = 4 : i32, scale = 3.0 : f32, causal, window = 3 : i32, num_sinks = 1 : i32} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>) -> tensor<2x3x4x8xf32>
  // CANON-NEXT: llm.attention %{{.*}}, %{{.*}}, %{{.*}} {num_heads = 4 : i32, scale = 4.000000e+00 : f32} :
  %3 = llm.attention %q1, %k, %k {num_heads = 4 : i32, scale = 4.0 : f32, causal} : (tensor<2x1x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>) -> tensor<2x1x4x8xf32>
  return %0, %1, %2, %3 : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x1x4x8xf32>
}

// A mask that hides something, and a window that is narrower than the keys.
// CANON-LABEL: func.func @hide_something
func.func @hide_something(%q: tensor<2x3x4x8xf32>, %k: tensor<2x3x4x8xf32>) -> (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>) {
  // CANON: mask(
  // CANON: window = 2
  %some = arith.constant dense<[[[[true, false, true], [true, true, true], [true, true, true]]]]> : tensor<1x1x3x3xi1>
  %0 = llm.attention %q, %k, %k mask(%some) {num_heads = 4 : i32, scale = 1.0 : f32} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<1x1x3x3xi1>) -> tensor<2x3x4x8xf32>
  %1 = llm.attention %q, %k, %k {num_heads = 4 : i32, scale = 1.0 : f32, window = 2 : i32} : (tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>) -> tensor<2x3x4x8xf32>
  return %0, %1 : tensor<2x3x4x8xf32>, tensor<2x3x4x8xf32>
}
