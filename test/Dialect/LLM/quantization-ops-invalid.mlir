// Ops on quantised tensors that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

func.func @f(%x: tensor<4x32xf32>) {
  // (QNT-1)
  // expected-error @+1 {{'llm.quantize' op expected tensors of one shape, but got 'tensor<4x32xf32>' and '!llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>'}}
  %0 = llm.quantize %x : tensor<4x32xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
  return
}

// -----

func.func @f(%x: tensor<4x64xf16>) {
  // (QNT-2)
  // expected-error @+1 {{'llm.quantize' op expected the quantised tensor's logical element type 'f32', but got 'f16'}}
  %0 = llm.quantize %x : tensor<4x64xf16> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
  return
}

// -----

func.func @f(%x: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) {
  // (QNT-3)
  // expected-error @+2 {{'llm.dequantize' op inferred type(s) 'tensor<48x64xf32>' are incompatible with return type(s) of operation 'tensor<48x64xf16>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.dequantize %x : !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4> -> tensor<48x64xf16>
  return
}

// -----

func.func @f(%x: tensor<?x32xf32>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) {
  // (QNT-4)
  // expected-error @+1 {{'llm.quantized_matmul' op expected the weight to have 32 columns, as the input has features, but got 64}}
  %0 = llm.quantized_matmul %x, %w : (tensor<?x32xf32>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x48xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) {
  // (QNT-5)
  // expected-error @+2 {{'llm.quantized_matmul' op inferred type(s) 'tensor<?x48xf32>' are incompatible with return type(s) of operation 'tensor<?x64xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.quantized_matmul %x, %w : (tensor<?x64xf32>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x64xf32>
  return
}

// -----

func.func @f(%x: !llm.quantized_tensor<i8, [?, 64], false, true, 1, 32, 8>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) {
  // (QNT-6)
  // expected-error @+1 {{'llm.quantized_matmul' op expected a symmetric input, but got '!llm.quantized_tensor<i8, [?, 64], false, true, 1, 32, 8>'}}
  %0 = llm.quantized_matmul %x, %w : (!llm.quantized_tensor<i8, [?, 64], false, true, 1, 32, 8>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x48xf32>
  return
}

// -----

func.func @f(%x: !llm.quantized_tensor<i8, [?, 64], true, true, 1, 16, 8>, %w: !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) {
  // (QNT-7)
  // expected-error @+1 {{'llm.quantized_matmul' op expected the input's group size to be the weight's 32, but got 16}}
  %0 = llm.quantized_matmul %x, %w : (!llm.quantized_tensor<i8, [?, 64], true, true, 1, 16, 8>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4>) -> tensor<?x48xf32>
  return
}

// -----

func.func @f(%x: tensor<?x64xf32>, %w: !llm.quantized_tensor<i4, [64], true, true, 0, 32, 4>) {
  // (QNT-8)
  // expected-error @+1 {{'llm.quantized_matmul' op expected input and weight of rank 2, but got ranks 2 and 1}}
  %0 = llm.quantized_matmul %x, %w : (tensor<?x64xf32>, !llm.quantized_tensor<i4, [64], true, true, 0, 32, 4>) -> tensor<?x64xf32>
  return
}
