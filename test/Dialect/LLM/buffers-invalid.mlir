// What an op on buffers must be, one case a constraint.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

llm.weight @norm : tensor<64xf32>

// (BUF-1)
func.func @mixed(%gate: tensor<4x64xf32>, %rows: memref<?xi32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected tensors or buffers, not both, but got 'tensor<?x64xf32>' and 'memref<?xi32>'}}
  %0 = llm.embedding %rows, @norm : memref<?xi32> -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// -----

llm.weight @norm : tensor<64xf32>

// (BUF-2)
func.func @gaps(%x: memref<4x64xf32, strided<[128, 1]>>) {
  // expected-error @+1 {{operand #0 must be 2D/3D tensor of 32-bit float values or 2D/3D memref of 32-bit float values without gaps, but got 'memref<4x64xf32, strided<[128, 1]>>'}}
  %0 = llm.rms_norm %x, @norm epsilon(1.0e-5) : memref<4x64xf32, strided<[128, 1]>>
  return
}

// -----

// (BUF-2) Quantisation reads buffers of any rank, without gaps.
func.func @gaps(%x: memref<8x64xf32, strided<[128, 1]>>) -> !llm.quantized_tensor<i8, [8, 64], true, true, 1, 32, 8> {
  // expected-error @+1 {{without gaps, but got 'memref<8x64xf32, strided<[128, 1]>>'}}
  %0 = llm.quantize %x : memref<8x64xf32, strided<[128, 1]>> -> !llm.quantized_tensor<i8, [8, 64], true, true, 1, 32, 8>
  return %0 : !llm.quantized_tensor<i8, [8, 64], true, true, 1, 32, 8>
}

// -----

// (QNT-3)
func.func @shape(%q: !llm.quantized_tensor<i8, [8, 64], true, true, 1, 32, 8>) -> memref<8x32xf32> {
  // expected-error @+2 {{'llm.dequantize' op inferred type(s) 'tensor<8x64xf32>' are incompatible with return type(s) of operation 'memref<8x32xf32>'}}
  // expected-error @+1 {{'llm.dequantize' op failed to infer returned types}}
  %0 = llm.dequantize %q : !llm.quantized_tensor<i8, [8, 64], true, true, 1, 32, 8> -> memref<8x32xf32>
  return %0 : memref<8x32xf32>
}
