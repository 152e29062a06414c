// With `profile` the step stands there twice: as it is without, and with a clock around each call and
// each barrier, whose times belong to the calls of the table.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts "--llm-form-parallel-step=features=avx2,fma,f16c profile" | FileCheck %s
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c | FileCheck %s --check-prefix=PLAIN --implicit-check-not=profile

// CHECK: llvm.mlir.global external constant @llmir_model_profile_table("[{
// CHECK-SAME: \22name\22:\22embedding_96x64
// CHECK-SAME: \22bytes\22:{{[1-9][0-9]*}}{{.*}}\22name\22:\22linear_q4_0_i8_128x64\22,\22operations_per_key\22:0,\22operations_per_row\22:0,\22operations_per_token\22:16384,\22repetitions\22:3,\22unit\22:\22int8\22}
// CHECK-SAME: ]\00")

// CHECK: func.func @llmir_model_step(%{{.*}}: !llvm.ptr, %{{.*}}: i32, %{{.*}}: i32) {
// CHECK-NOT: () -> i64
// CHECK: return
// CHECK: func.func @llmir_model_profile(%{{.*}}: !llvm.ptr, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: !llvm.ptr) {
// CHECK: %[[BEGIN:.*]] = llvm.call %[[NOW:.*]]() : !llvm.ptr, () -> i64
// CHECK: call @rope_table
// CHECK: %[[END:.*]] = llvm.call %[[NOW]]() : !llvm.ptr, () -> i64
// CHECK: arith.subi %[[END]], %[[BEGIN]]

// PLAIN: func.func @llmir_model_step
