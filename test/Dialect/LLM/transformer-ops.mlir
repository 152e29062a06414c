// Transformer ops: round trips.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

llm.weight @embd : tensor<1000x64xf32>
llm.weight @norm : tensor<64xf32>
llm.weight @factors : tensor<8xf32>
llm.weight @wq : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @wqkv sources(["q", "k", "v"]) : tensor<128x64xbf16>
llm.weight @qkv_bias : tensor<128xf32>
llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<256x64xf32>
llm.weight @down : tensor<64x128xf16>

// CHECK-LABEL: func.func @embedding
func.func @embedding(%tokens: tensor<?xi32>, %three: tensor<3xi32>) -> (tensor<?x64xf32>, tensor<3x64xf32>) {
  // CHECK: llm.embedding %{{.*}}, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %0 = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: llm.embedding %{{.*}}, @embd {note = "kept"} : tensor<3xi32> -> tensor<3x64xf32>
  %1 = llm.embedding %three, @embd {note = "kept"} : tensor<3xi32> -> tensor<3x64xf32>
  return %0, %1 : tensor<?x64xf32>, tensor<3x64xf32>
}

// CHECK-LABEL: func.func @rms_norm
func.func @rms_norm(%x: tensor<?x64xf32>, %heads: tensor<?x4x16xf32>) {
  // CHECK: llm.rms_norm %{{.*}}, @norm epsilon(9.99999974E-6) : tensor<?x64xf32>
  %0 = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  // CHECK: llm.rms_norm %{{.*}}, @norm epsilon(0.000000e+00) : tensor<?x4x16xf32>
  %1 = llm.rms_norm %heads, @norm epsilon(0.0) : tensor<?x4x16xf32>
  return
}

// CHECK-LABEL: func.func @linear
func.func @linear(%x: tensor<?x64xf32>, %h: tensor<?x128xf32>) {
  // CHECK: llm.linear %{{.*}}, @wq : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  %q = llm.linear %x, @wq : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  // CHECK: llm.linear %{{.*}}, @wq activations(i8) residual(%{{.*}}) : (tensor<?x4x16xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %o = llm.linear %q, @wq activations(i8) residual(%x) : (tensor<?x4x16xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  // CHECK: llm.linear %{{.*}}, @wqkv norm(@norm, 9.99999974E-6) activations(bf16) bias(@qkv_bias) : (tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x32xf32>)
  %qkv:3 = llm.linear %x, @wqkv norm(@norm, 1.0e-5) activations(bf16) bias(@qkv_bias)
      : (tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x32xf32>)
  // CHECK: llm.linear %{{.*}}, @gate_up norm(@norm, 9.99999974E-6) epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x128xf32>
  %g = llm.linear %x, @gate_up norm(@norm, 1.0e-5) epilogue(swiglu) : (tensor<?x64xf32>) -> tensor<?x128xf32>
  // CHECK: llm.linear %{{.*}}, @down residual(%{{.*}}) : (tensor<?x128xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %d = llm.linear %h, @down epilogue(none) residual(%x) : (tensor<?x128xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return
}

// CHECK-LABEL: func.func @rope
func.func @rope(%q: tensor<?x4x16xf32>, %k: tensor<?x2x16xf32>, %p: tensor<?xi32>) {
  // CHECK: llm.rope %{{.*}}, %{{.*}} positions(%{{.*}}) theta(1.000000e+04) rotary_dim(16) interleaved : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>
  %0:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(16) interleaved
      : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>
  // CHECK: llm.rope %{{.*}} positions(%{{.*}}) theta(5.000000e+05) rotary_dim(16) half frequency_factors(@factors) : tensor<?x4x16xf32>, tensor<?xi32>
  %1 = llm.rope %q positions(%p) theta(5.0e+5) rotary_dim(16) half frequency_factors(@factors)
      : tensor<?x4x16xf32>, tensor<?xi32>
  return
}

// CHECK-LABEL: func.func @swiglu
func.func @swiglu(%gate: tensor<?x128xf32>, %up: tensor<?x128xf32>) -> tensor<?x128xf32> {
  // CHECK: llm.swiglu %{{.*}}, %{{.*}} : tensor<?x128xf32>
  %0 = llm.swiglu %gate, %up : tensor<?x128xf32>
  return %0 : tensor<?x128xf32>
}

// CHECK-LABEL: func.func @logits
func.func @logits(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) {
  // CHECK: llm.logits %{{.*}}, %{{.*}}, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
  %0 = llm.logits %x, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
  // CHECK: llm.logits %{{.*}}, %{{.*}}, @embd norm(@norm, 9.99999974E-6) activations(i8) : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
  %1 = llm.logits %x, %rows, @embd norm(@norm, 1.0e-5) activations(i8) : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
  return
}
