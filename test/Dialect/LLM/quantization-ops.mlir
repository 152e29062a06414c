// Ops on quantised tensors: round trips, the one fold that is true, and the one that is not.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize | FileCheck %s --check-prefix=CANON

!a = !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
!w = !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4, element = f16>

// CHECK-LABEL: func.func @ops
func.func @ops(%x: tensor<?x64xf32>, %w: !w) -> (tensor<?x48xf32>, tensor<?x48xf32>, tensor<48x64xf16>) {
  // CHECK: llm.quantize %{{.*}} : tensor<?x64xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
  %a = llm.quantize %x : tensor<?x64xf32> -> !a
  // CHECK: llm.quantized_matmul %{{.*}}, %{{.*}} : (!llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4, element = f16>) -> tensor<?x48xf32>
  %y = llm.quantized_matmul %a, %w : (!a, !w) -> tensor<?x48xf32>
  // CHECK: llm.quantized_matmul %{{.*}}, %{{.*}} : (tensor<?x64xf32>, !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4, element = f16>) -> tensor<?x48xf32>
  %z = llm.quantized_matmul %x, %w : (tensor<?x64xf32>, !w) -> tensor<?x48xf32>
  // CHECK: llm.dequantize %{{.*}} : !llm.quantized_tensor<i4, [48, 64], true, true, 1, 32, 4, element = f16> -> tensor<48x64xf16>
  %d = llm.dequantize %w : !w -> tensor<48x64xf16>
  return %y, %z, %d : tensor<?x48xf32>, tensor<?x48xf32>, tensor<48x64xf16>
}

// CANON-LABEL: func.func @quantize_again
// CANON-SAME:    %[[Q:.*]]: !llm.quantized_tensor
func.func @quantize_again(%q: !a) -> !a {
  // CANON-NEXT: return %[[Q]]
  %x = llm.dequantize %q : !a -> tensor<?x64xf32>
  %r = llm.quantize %x : tensor<?x64xf32> -> !a
  return %r : !a
}

// Another type, and the order that rounds.
// CANON-LABEL: func.func @rounds
func.func @rounds(%q: !a, %x: tensor<?x64xf32>) -> (!llm.quantized_tensor<i8, [?, 64], true, true, 1, 64, 8>, tensor<?x64xf32>) {
  // CANON-DAG: llm.dequantize
  // CANON-DAG: llm.quantize {{.*}} -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 64, 8>
  // CANON-DAG: %[[Q:.*]] = llm.quantize {{.*}} -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 32, 8>
  // CANON-DAG: llm.dequantize %[[Q]]
  %d = llm.dequantize %q : !a -> tensor<?x64xf32>
  %r = llm.quantize %d : tensor<?x64xf32> -> !llm.quantized_tensor<i8, [?, 64], true, true, 1, 64, 8>
  %s = llm.quantize %x : tensor<?x64xf32> -> !a
  %t = llm.dequantize %s : !a -> tensor<?x64xf32>
  return %r, %t : !llm.quantized_tensor<i8, [?, 64], true, true, 1, 64, 8>, tensor<?x64xf32>
}
