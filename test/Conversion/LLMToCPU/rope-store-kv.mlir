// Rotation and store of a layer are one call, which in small batches does for each worker what its
// tasks of attention read, without a barrier behind it; where workers divide the KV heads, those of
// the projection's tiles are the heads', without a barrier there either. The table of angles still
// stands before the loop.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-fuse-kv-append --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --implicit-check-not=@rope_interleaved --implicit-check-not=@store_kv
// RUN: llmir-opt %S/Inputs/step.mlir --llm-fuse-kv-append --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// Two calls less in each of three layers.
// STATISTICS-DAG: llm-fuse-kv-append: 3 stores-fused
// STATISTICS-DAG: llm-form-parallel-step: 34 calls
// STATISTICS-DAG: llm-form-parallel-step: 1 layer-loops

// CHECK: func.func @llmir_model_step
// CHECK: call @rope_table_
// CHECK: scf.for %[[LAYER:.*]] = %{{.*}} to %c3 step
// CHECK: func.call @norm_quantize_
// CHECK: scf.if %[[LARGE:.*]] {
// CHECK-NEXT: llvm.call %[[BARRIER:.*]](%[[TEAM:.*]], %[[WORKER:.*]]) :
// CHECK: scf.if %[[SMALL:.*]] {
// CHECK-NEXT: scf.if %[[BYHEADS:.*]] {
// CHECK-COUNT-3: func.call @linear_q4_0_i8_128x64(
// CHECK: } else {
// CHECK: func.call @linear_q4_0_i8_128x64(
// CHECK: } else {
// CHECK: scf.while
// CHECK: func.call @linear_q4_0_i8_128x64(
// CHECK: %[[SHARED:.*]] = arith.xori %[[BYHEADS]],
// CHECK: scf.if %[[SHARED]] {
// CHECK-NEXT: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @rope_store_kv_interleaved_1x32_32_interleaved_2x32_32_before_attention_2_f16_3_1_32_32_16_
// CHECK: %[[ALSOLARGE:.*]] = arith.xori %[[SMALL]],
// CHECK-NEXT: scf.if %[[ALSOLARGE]] {
// CHECK-NEXT: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @attention_2_f16_3_1_32_32_16_
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
