// Dense attention in a function: its kernel, which function of it computes what by each technique, and
// what cannot be lowered.
// RUN: split-file %s %t
// RUN: llmir-opt %t/attention.mlir --convert-llm-to-cpu=features=avx2,fma,f16c | FileCheck %t/attention.mlir
// RUN: llmir-opt %t/attention.mlir --convert-llm-to-cpu="features=avx2,fma,f16c attention=three-pass" | FileCheck %t/attention.mlir --check-prefix=THREE --implicit-check-not=_tile_
// RUN: llmir-opt %t/attention.mlir --convert-llm-to-cpu="features=avx2,fma,f16c attention=fused-softmax" | FileCheck %t/attention.mlir --check-prefix=FUSED --implicit-check-not=_maxima_
// RUN: llmir-opt %t/attention.mlir --llm-cpu-pipeline="features=avx2,fma,f16c attention=masked" | FileCheck %t/attention.mlir --check-prefix=MASKED
// RUN: not llmir-opt %t/attention.mlir --convert-llm-to-cpu=attention=none 2>&1 | FileCheck %t/attention.mlir --check-prefix=UNKNOWN
// RUN: llmir-opt %t/dynamic.mlir --convert-llm-to-cpu=features=avx2,fma,f16c --verify-diagnostics

//--- attention.mlir
// A tile of keys and one of values are packed, then six rows at a time take it, then 3 and 1.
// CHECK-LABEL: func.func @attend(
// CHECK-SAME: %[[Q:[a-z0-9]+]]: memref<?x6x64xf16>, %[[K:[a-z0-9]+]]: memref<?x2x64xf16>
// CHECK: memref.alloc() {alignment = 64 : i64} : memref<{{[0-9]+}}xf32>
// CHECK: call @[[KERNEL:dense_attention_6_2_64_64_[0-9A-F]+_causal_ragged]](
// CHECK: memref.dealloc
// CHECK-DAG: func.func private @[[KERNEL]]_keys(
// CHECK-DAG: func.func private @[[KERNEL]]_values(
// CHECK-DAG: func.func private @[[KERNEL]]_tile_6(
// CHECK-DAG: func.func private @[[KERNEL]]_tile_3(
// CHECK-DAG: func.func private @[[KERNEL]]_tile_1(

// THREE-DAG: func.func private @{{.*}}_three_pass_scores_6(
// THREE-DAG: func.func private @{{.*}}_three_pass_maxima_6(
// THREE-DAG: func.func private @{{.*}}_three_pass_weights_6(
// THREE-DAG: func.func private @{{.*}}_three_pass_product_6(

// FUSED-DAG: func.func private @{{.*}}_fused_scores_6(
// FUSED-DAG: func.func private @{{.*}}_fused_product_6(

// MASKED-DAG: llvm.func internal @{{.*}}_masked_scores_6(
// MASKED-DAG: llvm.func @_mlir_ciface_attend(

// UNKNOWN: Cannot find option named 'none'
func.func @attend(%q: tensor<?x6x64xf16>, %k: tensor<?x2x64xf16>, %v: tensor<?x2x64xf16>,
    %cu: tensor<?xi32>) -> tensor<?x6x64xf16> {
  %o = llm.attention %q, %k, %v cu_lengths(%cu) {num_heads = 6 : i32, scale = 0.125 : f32, causal}
      : (tensor<?x6x64xf16>, tensor<?x2x64xf16>, tensor<?x2x64xf16>, tensor<?xi32>)
      -> tensor<?x6x64xf16>
  return %o : tensor<?x6x64xf16>
}

//--- dynamic.mlir
func.func @attend(%q: tensor<2x3x4x?xf32>, %k: tensor<2x3x4x?xf32>, %v: tensor<2x3x4x?xf32>)
    -> tensor<2x3x4x?xf32> {
  // expected-error @+1 {{'llm.attention' op expected known heads and head sizes for the CPU's attention, but got 'tensor<2x3x4x?xf32>'}}
  %o = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 1.0 : f32}
      : (tensor<2x3x4x?xf32>, tensor<2x3x4x?xf32>, tensor<2x3x4x?xf32>) -> tensor<2x3x4x?xf32>
  return %o : tensor<2x3x4x?xf32>
}
