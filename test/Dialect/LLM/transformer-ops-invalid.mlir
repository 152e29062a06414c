// Transformer ops that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

func.func @f(%t: tensor<?xi32>) {
  // (SYM-1)
  // expected-error @+1 {{'llm.embedding' op expected 'weight' to name an llm.weight, but there is no @w}}
  %0 = llm.embedding %t, @w : tensor<?xi32> -> tensor<?x64xf32>
  return
}

// -----

// expected-note @+1 {{defined here}}
func.func private @w()
func.func @f(%t: tensor<?xi32>) {
  // (SYM-2)
  // expected-error @+1 {{'llm.embedding' op expected 'weight' to name an llm.weight, but @w is a 'func.func'}}
  %0 = llm.embedding %t, @w : tensor<?xi32> -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (SYM-3)
  // expected-error @+1 {{'llm.rms_norm' op expected 'weight' @w to be a plain vector, but got 'tensor<64x64xf32>'}}
  %0 = llm.rms_norm %x, @w epsilon(1.0e-5) : tensor<?x64xf32>
  return
}

// -----

llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?x2x16xf32>) {
  // (SYM-4)
  // expected-error @+1 {{'llm.rms_norm' op expected 'weight' @n to have 32 elements, but got 64}}
  %0 = llm.rms_norm %x, @n epsilon(1.0e-5) : tensor<?x2x16xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%t: tensor<3xi32>) {
  // (EMB-1)
  // expected-error @+1 {{'llm.embedding' op expected dimension 0 of 'output' to be the number of tokens 3, but got 4}}
  %0 = llm.embedding %t, @w : tensor<3xi32> -> tensor<4x64xf32>
  return
}

// -----

llm.weight @ab sources(["a", "b"]) : tensor<64x64xf32>

func.func @f(%t: tensor<?xi32>) {
  // (EMB-2)
  // expected-error @+1 {{'llm.embedding' op expected 'weight' to have one source, but got 2}}
  %0 = llm.embedding %t, @ab : tensor<?xi32> -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%t: tensor<?xi64>) {
  // expected-error @+1 {{'llm.embedding' op operand #0 must be 1D tensor of 32-bit signless integer values or 1D memref of 32-bit signless integer values without gaps, but got 'tensor<?xi64>'}}
  %0 = llm.embedding %t, @w : tensor<?xi64> -> tensor<?x64xf32>
  return
}

// -----

llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?x64xf32>) {
  // (NORM-1)
  // expected-error @+1 {{'llm.rms_norm' op expected 'epsilon' not to be negative, but got -1.000000e+00}}
  %0 = llm.rms_norm %x, @n epsilon(-1.0) : tensor<?x64xf32>
  return
}

// -----

llm.weight @n : tensor<64xf32>

func.func @f(%x: tensor<?xf32>) {
  // expected-error @+1 {{'llm.rms_norm' op operand #0 must be 2D/3D tensor of 32-bit float values or 2D/3D memref of 32-bit float values without gaps, but got 'tensor<?xf32>'}}
  %0 = llm.rms_norm %x, @n epsilon(1.0) : tensor<?xf32>
  return
}

// -----

func.func @f(%p: tensor<?xi32>) {
  // (ROPE-1)
  // expected-error @+1 {{'llm.rope' op expected at least one input}}
  "llm.rope"(%p) <{rotary_dim = 16 : i32, style = #llm<rope_style half>, theta = 1.0e+4 : f32}> : (tensor<?xi32>) -> ()
  return
}

// -----

func.func @f(%q: tensor<?x4x16xf32>, %p: tensor<?xi32>) {
  // (ROPE-2)
  // expected-error @+1 {{'llm.rope' op expected 'rotary_dim' to be even and positive, but got 15}}
  %0 = llm.rope %q positions(%p) theta(1.0e+4) rotary_dim(15) half : tensor<?x4x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @f(%q: tensor<?x4x16xf32>, %p: tensor<?xi32>) {
  // (ROPE-3)
  // expected-error @+1 {{'llm.rope' op expected 'theta' to be positive, but got 0.000000e+00}}
  %0 = llm.rope %q positions(%p) theta(0.0) rotary_dim(16) half : tensor<?x4x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @f(%q: tensor<?x4x16xf32>, %p: tensor<?xi32>) {
  // (ROPE-4)
  // expected-error @+1 {{'llm.rope' op expected 'rotary_dim' to be at most the head size 16, but got 18}}
  %0 = llm.rope %q positions(%p) theta(1.0e+4) rotary_dim(18) half : tensor<?x4x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @f(%q: tensor<4x4x16xf32>, %p: tensor<3xi32>) {
  // (ROPE-5)
  // expected-error @+1 {{'llm.rope' op expected dimension 0 of 'inputs' to be the number of positions 3, but got 4}}
  %0 = llm.rope %q positions(%p) theta(1.0e+4) rotary_dim(16) half : tensor<4x4x16xf32>, tensor<3xi32>
  return
}

// -----

func.func @f(%q: tensor<?x4x16xf32>, %p: tensor<?xi32>) {
  // (ROPE-6)
  // expected-error @+2 {{failed to infer returned types}}
  // expected-error @+1 {{'llm.rope' op inferred type(s) 'tensor<?x4x16xf32>' are incompatible with return type(s) of operation 'tensor<?x2x16xf32>'}}
  %0 = "llm.rope"(%q, %p) <{rotary_dim = 16 : i32, style = #llm<rope_style half>, theta = 1.0e+4 : f32}> : (tensor<?x4x16xf32>, tensor<?xi32>) -> tensor<?x2x16xf32>
  return
}

// -----

llm.weight @n : tensor<64xf32>

func.func @f(%q: tensor<?x4x16xf32>, %p: tensor<?xi32>) {
  // (SYM-4)
  // expected-error @+1 {{'llm.rope' op expected 'frequency_factors' @n to have 8 elements, but got 64}}
  %0 = llm.rope %q positions(%p) theta(1.0e+4) rotary_dim(16) half frequency_factors(@n) : tensor<?x4x16xf32>, tensor<?xi32>
  return
}

// -----

func.func @f(%g: tensor<?x64xf32>, %u: tensor<?x32xf32>) {
  // expected-error @+1 {{'llm.swiglu' op requires the same type for all operands and results}}
  %0 = "llm.swiglu"(%g, %u) : (tensor<?x64xf32>, tensor<?x32xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>, %r: tensor<2xi32>) {
  // (LOG-1)
  // expected-error @+1 {{'llm.logits' op expected dimension 0 of 'output' to be the number of rows 2, but got 3}}
  %0 = llm.logits %x, %r, @w : (tensor<?x64xf32>, tensor<2xi32>) -> tensor<3x64xf32>
  return
}

// -----

llm.weight @ab sources(["a", "b"]) : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>, %r: tensor<?xi32>) {
  // (LOG-2)
  // expected-error @+1 {{'llm.logits' op expected 'weight' to have one source, but got 2}}
  %0 = llm.logits %x, %r, @ab : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @w : tensor<64x64xf32>

func.func @f(%x: tensor<?x64xf32>, %r: tensor<?xi32>) {
  // (LOG-3)
  // expected-error @+1 {{'llm.logits' op expected dimension 1 of 'output' to be the number of rows of 'weight', 64, but got 1000}}
  %0 = llm.logits %x, %r, @w : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
  return
}
