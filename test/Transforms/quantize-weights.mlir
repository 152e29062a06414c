// Types alone: no checkpoint is needed.
// RUN: llmir-opt %s --llm-quantize-weights --split-input-file | FileCheck %s --check-prefixes=CHECK,I8
// RUN: llmir-opt %s --llm-quantize-weights='storage=i4 group-size=64' --split-input-file | FileCheck %s --check-prefixes=CHECK,I4
// RUN: llmir-opt %s --llm-quantize-weights='storage=i4 symmetry=symmetric keep=*.w,@none' --split-input-file | FileCheck %s --check-prefixes=CHECK,KEEP
// RUN: llmir-opt %s --llm-quantize-weights='verbose group-size=64' --verify-diagnostics --split-input-file -o /dev/null
// RUN: llmir-opt %s --llm-quantize-weights='group-size=64' --llm-pass-statistics --split-input-file -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS-DAG: llm-quantize-weights: 3 weights-quantized
// STATISTICS-DAG: llm-quantize-weights: 1 weights-kept
// STATISTICS-DAG: llm-quantize-weights: 35840 bytes-before
// STATISTICS-DAG: llm-quantize-weights: 15232 bytes-after

// CHECK-LABEL: llm.weight @embd : !llm.quantized_tensor<i8,
// I8-SAME: [96, 64], true, true, 1, 32, 8, element = f16, scale = f16>
// I4-SAME: [96, 64], true, true, 1, 64, 8, element = f16, scale = f16>
// expected-remark @+1 {{quantised to q8_0 in groups of 64: 12288 bytes to 6528}}
llm.weight @embd : tensor<96x64xf16>
// I8: llm.weight @l.w : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, element = bf16, scale = f16>
// I4: llm.weight @l.w : !llm.quantized_tensor<i4, [64, 64], false, true, 1, 64, 4, element = bf16, scale = f16, zero_point = f16>
// KEEP: llm.weight @l.w : tensor<64x64xbf16>
// expected-remark @+1 {{quantised to q8_0}}
llm.weight @l.w : tensor<64x64xbf16>
// I8: llm.weight @l.u : !llm.quantized_tensor<i8, [60, 64], true, true, 1, 32, 8, scale = f16>
// I4: llm.weight @l.u : !llm.quantized_tensor<i4, [60, 64], false, true, 1, 64, 4, scale = f16, zero_point = f16>
// KEEP: llm.weight @l.u : !llm.quantized_tensor<i4, [60, 64], true, true, 1, 32, 4, scale = f16>
// expected-remark @+1 {{quantised to q8_0}}
llm.weight @l.u : tensor<60x64xf32>
// 32 columns are not a group of 64.
// I8: llm.weight @narrow : !llm.quantized_tensor<i8, [16, 32],
// I4: llm.weight @narrow : tensor<16x32xf16>
// expected-remark @+1 {{keeps its type: 32 columns are not whole groups of 64}}
llm.weight @narrow : tensor<16x32xf16>
// Vectors and codes stay.
// CHECK: llm.weight @norm : tensor<64xf32>
llm.weight @norm : tensor<64xf32>
// CHECK: llm.weight @q4 : !llm.quantized_tensor<i4, [64, 64], true, true, 1, 32, 4, scale = f16>
llm.weight @q4 : !llm.quantized_tensor<i4, [64, 64], true, true, 1, 32, 4, scale = f16>

// CHECK-LABEL: func.func @f
func.func @f(%tokens: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x96xf32> {
  // CHECK: llm.linear %{{.*}}, @l.w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %y = llm.linear %x, @l.w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = llm.linear %y, @l.u : (tensor<?x64xf32>) -> tensor<?x60xf32>
  %logits = llm.logits %y, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits : tensor<?x96xf32>
}
