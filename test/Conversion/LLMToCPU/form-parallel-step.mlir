// The three layers of Inputs/step.mlir become one loop over tile functions that all layers share.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c -o %t.mlir
// RUN: FileCheck %s --input-file %t.mlir
// RUN: FileCheck %s --input-file %t.mlir --check-prefix=FUNCTIONS
// RUN: FileCheck %s --input-file %t.mlir --check-prefix=GONE --implicit-check-not='= llm.' --implicit-check-not=@step
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// Table of angles, embedding, three layers of 12 calls, gather with norm, logits.
// STATISTICS-DAG: llm-form-parallel-step: 40 calls
// STATISTICS-DAG: llm-form-parallel-step: 1 layer-loops
// STATISTICS-DAG: llm-form-parallel-step: 18 tile-functions

// Workspace: nothing that does not grow with the batch, bytes of a token, a row and a worker.
// CHECK: module attributes {llm.bytes_per_token = {{[1-9][0-9]*}} : i64
// CHECK-SAME: llm.workspace = {fixed = 0 : i64, per_row = {{[1-9][0-9]*}} : i64, per_sequence = 0 : i64, per_token = {{[1-9][0-9]*}} : i64, per_worker = {{[1-9][0-9]*}} : i64}
// CHECK: llvm.mlir.global external constant @llmir_model_abi_version(2 : i32)
// CHECK: llm.weight @embd offset(0)

// The step: (arguments, worker, workers).
// CHECK: func.func @llmir_model_step(%{{.*}}: !llvm.ptr, %[[WORKER:.*]]: i32, %{{.*}}: i32) {
// CHECK: call @rope_table_{{.*}}(
// CHECK-NOT: llvm.call
// CHECK: call @embedding_96x64{{.*}}(
// A small batch is quantised by every worker for itself, so the barrier stands before that.
// CHECK: scf.if %[[SMALL:.*]] {
// CHECK-NEXT: llvm.call %[[BARRIER:.*]](%[[TEAM:.*]], %[[WORKER]]) : !llvm.ptr, (!llvm.ptr, i32) -> ()
// CHECK-NEXT: }
// CHECK: scf.for %[[LAYER:.*]] = %{{.*}} to %c3 step
// CHECK: func.call @norm_quantize_
// CHECK: scf.if
// CHECK-NEXT: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @linear_q4_0_i8_128x64(
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @rope_interleaved_2x32_32(
// CHECK-NOT: llvm.call
// CHECK: func.call @rope_interleaved_1x32_32(
// CHECK-NOT: llvm.call
// CHECK: func.call @store_kv_f16_3_1_32_32_16(
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @attention_2_f16_3_1_32_32_16_
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @quantize_64(
// CHECK: func.call @linear_q4_0_i8_64x64_residual(
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @norm_quantize_
// CHECK: func.call @linear_q4_0_i8_96x64_swiglu(
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK: func.call @quantize_96(
// CHECK: func.call @linear_q4_0_i8_64x96_residual(
// CHECK: llvm.call %[[BARRIER]](%[[TEAM]], %[[WORKER]])
// CHECK-NEXT: }
// CHECK: call @gather_norm_quantize_
// CHECK: call @linear_q8_0_i8_96x64(
// CHECK-NOT: llvm.call
// CHECK: return

// One function for each kind of call, private to the object.
// FUNCTIONS-COUNT-18: func.func private @{{.*}}llvm.linkage = #llvm.linkage<internal>
// FUNCTIONS-NOT: func.func private

// GONE: func.func @llmir_model_step
