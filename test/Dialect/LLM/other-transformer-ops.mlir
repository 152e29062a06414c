// Layer norms, scaled rope, gates, experts, sampling, loads: round trips and canonical forms.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize | FileCheck %s --check-prefix=CANON

llm.weight @n : tensor<32xf32>
llm.weight @factors : tensor<16xf32>
llm.weight @router : tensor<4x32xf32>
llm.weight @router_bias : tensor<4xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @down : tensor<128x64xf32>

// CHECK-LABEL: func.func @ops
func.func @ops(%x: tensor<?x32xf32>, %h: tensor<?x2x16xf32>, %p: tensor<?xi32>) -> (tensor<?x32xf32>, tensor<?x2x16xf32>, tensor<32xf32>) {
  // CHECK: llm.layer_norm %{{.*}}, @n epsilon(9.99999974E-6) : tensor<?x32xf32>
  %0 = llm.layer_norm %x, @n epsilon(1.0e-5) : tensor<?x32xf32>
  // CHECK: llm.layer_norm %{{.*}}, @n bias(@n) epsilon(0.000000e+00) : tensor<?x2x16xf32>
  %1 = llm.layer_norm %h, @n bias(@n) epsilon(0.0) : tensor<?x2x16xf32>
  // CHECK: llm.geglu %{{.*}}, %{{.*}} : tensor<?x32xf32>
  %2 = llm.geglu %0, %x approximation(tanh) : tensor<?x32xf32>
  // CHECK: llm.geglu %{{.*}}, %{{.*}} approximation(erf) : tensor<?x2x16xf32>
  %3 = llm.geglu %1, %h approximation(erf) : tensor<?x2x16xf32>
  // CHECK: llm.moe %{{.*}} router(@router) gate(@gate) up(@gate) down(@down) experts(2 of 4) : tensor<?x32xf32>
  %4 = llm.moe %2 router(@router) gate(@gate) up(@gate) down(@down) experts(2 of 4) scores(softmax) : tensor<?x32xf32>
  // CHECK: llm.moe %{{.*}} router(@router) gate(@gate) up(@gate) down(@down) experts(1 of 4) scores(sigmoid) normalize scale(2.500000e+00) selection_bias(@router_bias) activations(i8) : tensor<?x32xf32>
  %5 = llm.moe %4 router(@router) gate(@gate) up(@gate) down(@down) experts(1 of 4) scores(sigmoid) normalize scale(2.5) selection_bias(@router_bias) activations(i8) : tensor<?x32xf32>
  // CHECK: llm.rope %{{.*}} positions(%{{.*}}) theta(1.000000e+04) rotary_dim(16) half scaling(<ntk, factor = 2.000000e+00>) : tensor<?x2x16xf32>, tensor<?xi32>
  // CANON: scaling(<ntk, factor = 2.000000e+00>)
  %6 = llm.rope %3 positions(%p) theta(1.0e+4) rotary_dim(16) half scaling(<ntk, factor = 2.0>) : tensor<?x2x16xf32>, tensor<?xi32>
  // CHECK: llm.load_weight @n : tensor<32xf32>
  %7 = llm.load_weight @n : tensor<32xf32>
  return %5, %6, %7 : tensor<?x32xf32>, tensor<?x2x16xf32>, tensor<32xf32>
}

// Scaling by one is none, unless the magnitude says otherwise.
// CANON-LABEL: func.func @scaling_by_one
func.func @scaling_by_one(%x: tensor<?x2x32xf32>, %p: tensor<?xi32>) -> tensor<?x2x32xf32> {
  // CANON-NEXT: llm.rope {{.*}} half : tensor
  %0 = llm.rope %x positions(%p) theta(1.0e+4) rotary_dim(32) half scaling(<yarn, factor = 1.0, original = 4096>) : tensor<?x2x32xf32>, tensor<?xi32>
  // CANON-NEXT: llm.rope {{.*}} half frequency_factors(@factors) : tensor
  %1 = llm.rope %0 positions(%p) theta(1.0e+4) rotary_dim(32) half frequency_factors(@factors) scaling(<longrope, factor = 1.0, original = 4096>) : tensor<?x2x32xf32>, tensor<?xi32>
  // CANON-NEXT: llm.rope {{.*}} half scaling(<yarn
  %2 = llm.rope %1 positions(%p) theta(1.0e+4) rotary_dim(32) half scaling(<yarn, factor = 1.0, original = 4096, magnitude = 1.5>) : tensor<?x2x32xf32>, tensor<?xi32>
  return %2 : tensor<?x2x32xf32>
}

// CHECK-LABEL: func.func @sample
// CANON-LABEL: func.func @sample
func.func @sample(%l: tensor<?x100xf32>, %u: tensor<?xf32>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) {
  // CHECK: llm.sample %{{.*}} : (tensor<?x100xf32>) -> tensor<?xi32>
  %0 = llm.sample %l : (tensor<?x100xf32>) -> tensor<?xi32>
  // CHECK: llm.sample %{{.*}} uniforms(%{{.*}}) {min_p = 5.000000e-02 : f32, temperature = 2.000000e+00 : f32, top_k = 40 : i32, top_p = 0.899999976 : f32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  // CANON: llm.sample %{{.*}} uniforms(
  %1 = llm.sample %l uniforms(%u) {temperature = 2.0 : f32, top_k = 40 : i32, top_p = 0.9 : f32, min_p = 0.05 : f32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  // The first of one token is the best one.
  // CANON-NEXT: llm.sample %{{.*}} : (tensor<?x100xf32>) -> tensor<?xi32>
  // CANON-NEXT: return
  %2 = llm.sample %l uniforms(%u) {temperature = 2.0 : f32, top_k = 1 : i32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  return %0, %1, %2 : tensor<?xi32>, tensor<?xi32>, tensor<?xi32>
}
