// RUN: llmir-opt %s --llm-quantize-activations=type=i8 --verify-diagnostics | FileCheck %s --check-prefixes=CHECK,I8
// RUN: llmir-opt %s --llm-quantize-activations=type=bf16 | FileCheck %s --check-prefixes=CHECK,BF16
// RUN: llmir-opt %s --llm-quantize-activations=type=f32 | FileCheck %s --check-prefixes=CHECK,F32
// RUN: not llmir-opt %s --llm-quantize-activations=type=i4 2>&1 | FileCheck %s --check-prefix=BAD
// RUN: llmir-opt %s --llm-quantize-activations --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// BAD: 'i4'
// STATISTICS-DAG: llm-quantize-activations: 2 ops-left
// STATISTICS-DAG: llm-quantize-activations: 4 ops-quantized

llm.weight @q8_0 : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @q4_0 : !llm.quantized_tensor<i4, [64, 64], true, true, 1, 32, 4, scale = f16>
llm.weight @q4_1 : !llm.quantized_tensor<i4, [64, 64], false, true, 1, 32, 4, scale = f16, zero_point = f16>
llm.weight @fine : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 16, 8, scale = f16>
llm.weight @plain : tensor<64x64xf16>

// CHECK-LABEL: func.func @f
func.func @f(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) -> tensor<?x64xf32> {
  // I8: @q8_0 activations(i8)
  // BF16: @q8_0 activations(bf16)
  // F32: @q8_0 :
  %0 = llm.linear %x, @q8_0 : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // I8: @q4_0 activations(i8)
  // BF16: @q4_0 activations(bf16)
  // F32: @q4_0 :
  %1 = llm.linear %0, @q4_0 activations(bf16) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // I8: @q4_1 activations(i8)
  %2 = llm.linear %1, @q4_1 : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // I8: @fine :
  // BF16: @fine activations(bf16)
  // expected-remark @+1 {{keeps f32 activations: int8 activations need a weight quantised in groups of 32, but 'fine' is not}}
  %3 = llm.linear %2, @fine : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // I8: @plain :
  // BF16: @plain activations(bf16)
  // expected-remark @+1 {{but 'plain' is not}}
  %4 = llm.linear %3, @plain : (tensor<?x64xf32>) -> tensor<?x64xf32>
  // I8: llm.logits {{.*}}, @q8_0 activations(i8)
  // BF16: llm.logits {{.*}}, @q8_0 activations(bf16)
  // F32: llm.logits {{.*}}, @q8_0 :
  %5 = llm.logits %4, %rows, @q8_0 : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x64xf32>
  return %5 : tensor<?x64xf32>
}
