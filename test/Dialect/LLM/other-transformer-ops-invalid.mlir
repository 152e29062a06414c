// Layer norms, scaled rope, experts, sampling and loads that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

llm.weight @n : tensor<64xf32>
func.func @f(%x: tensor<?x64xf32>) {
  // (NORM-2)
  // expected-error @+1 {{'llm.layer_norm' op expected 'epsilon' not to be negative, but got -1.000000e+00}}
  %0 = llm.layer_norm %x, @n epsilon(-1.0) : tensor<?x64xf32>
  return
}

// -----

llm.weight @n : tensor<64xf32>
llm.weight @b : tensor<32xf32>
func.func @f(%x: tensor<?x64xf32>) {
  // (SYM-4)
  // expected-error @+1 {{'llm.layer_norm' op expected 'bias' @b to have 64 elements, but got 32}}
  %0 = llm.layer_norm %x, @n bias(@b) epsilon(1.0e-5) : tensor<?x64xf32>
  return
}

// -----

func.func @f(%q: tensor<?x4x64xf32>, %p: tensor<?xi32>) {
  // (ROPE-7)
  // expected-error @+1 {{'llm.rope' op expected 'frequency_factors' with scaling longrope}}
  %0 = llm.rope %q positions(%p) theta(1.0e+4) rotary_dim(64) half scaling(<longrope, factor = 8.0, original = 4096>) : tensor<?x4x64xf32>, tensor<?xi32>
  return
}

// -----

llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @up : tensor<256x32xf32>
llm.weight @down : tensor<128x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-1)
  // expected-error @+1 {{'llm.moe' op expected a token to use 1 to 4 experts, but got 5}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(5 of 4) : tensor<?x32xf32>
  return
}

// -----

llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @up : tensor<256x32xf32>
llm.weight @down : tensor<128x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-2)
  // expected-error @+1 {{'llm.moe' op expected 'scale' to be positive, but got 0.000000e+00}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) scale(0.0) : tensor<?x32xf32>
  return
}

// -----

llm.weight @router : tensor<8x32xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @up : tensor<256x32xf32>
llm.weight @down : tensor<128x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-3)
  // expected-error @+1 {{'llm.moe' op expected 'router' @router to have 4 rows, but got 8}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) : tensor<?x32xf32>
  return
}

// -----

llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @up : tensor<128x32xf32>
llm.weight @down : tensor<128x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-3)
  // expected-error @+1 {{'llm.moe' op expected 'up' @up to have 256 rows, but got 128}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) : tensor<?x32xf32>
  return
}

// -----

llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<256x32xf32>
llm.weight @up : tensor<256x32xf32>
llm.weight @down : tensor<32x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-3)
  // expected-error @+1 {{'llm.moe' op expected 'down' @down to have 128 rows, but got 32}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) : tensor<?x32xf32>
  return
}

// -----

llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<255x32xf32>
llm.weight @up : tensor<255x32xf32>
llm.weight @down : tensor<128x64xf32>
func.func @f(%x: tensor<?x32xf32>) {
  // (MOE-4)
  // expected-error @+1 {{'llm.moe' op expected the rows of 'gate' @gate to be a multiple of the 4 experts, but got 255}}
  %0 = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) : tensor<?x32xf32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<3xf32>) {
  // (SAM-1)
  // expected-error @+2 {{'llm.sample' op inferred type(s) 'tensor<3xi32>' are incompatible with return type(s) of operation 'tensor<4xi32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.sample %l uniforms(%u) : (tensor<3x100xf32>, tensor<3xf32>) -> tensor<4xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<2xf32>) {
  // (SAM-2)
  // expected-error @+1 {{'llm.sample' op expected dimension 0 of 'uniforms' to be the number of rows 3, but got 2}}
  %0 = llm.sample %l uniforms(%u) : (tensor<3x100xf32>, tensor<2xf32>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>) {
  // (SAM-3)
  // expected-error @+1 {{'llm.sample' op expected 'uniforms' with 'temperature', 'top_k', 'top_p' and 'min_p'}}
  %0 = llm.sample %l {top_k = 4 : i32} : (tensor<3x100xf32>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<3xf32>) {
  // (SAM-4)
  // expected-error @+1 {{'llm.sample' op expected 'temperature' to be positive, but got 0.000000e+00}}
  %0 = llm.sample %l uniforms(%u) {temperature = 0.0 : f32} : (tensor<3x100xf32>, tensor<3xf32>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<3xf32>) {
  // (SAM-5)
  // expected-error @+1 {{'llm.sample' op expected 'top_k' to be positive, but got 0}}
  %0 = llm.sample %l uniforms(%u) {top_k = 0 : i32} : (tensor<3x100xf32>, tensor<3xf32>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<3xf32>) {
  // (SAM-6)
  // expected-error @+1 {{'llm.sample' op expected 'top_p' to be above 0 and at most 1, but got 0.000000e+00}}
  %0 = llm.sample %l uniforms(%u) {top_p = 0.0 : f32} : (tensor<3x100xf32>, tensor<3xf32>) -> tensor<3xi32>
  return
}

// -----

func.func @f(%l: tensor<3x100xf32>, %u: tensor<3xf32>) {
  // (SAM-7)
  // expected-error @+1 {{'llm.sample' op expected 'min_p' to be in 0..1, but got 2.000000e+00}}
  %0 = llm.sample %l uniforms(%u) {min_p = 2.0 : f32} : (tensor<3x100xf32>, tensor<3xf32>) -> tensor<3xi32>
  return
}

// -----

llm.weight @n : tensor<64xf32>
func.func @f() {
  // (W-13)
  // expected-error @+1 {{'llm.load_weight' op expected the type of @n, 'tensor<64xf32>', but got 'tensor<32xf32>'}}
  %0 = llm.load_weight @n : tensor<32xf32>
  return
}
