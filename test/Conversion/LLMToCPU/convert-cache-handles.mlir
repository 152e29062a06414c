// A cache is a handle wherever it goes: into and out of functions that are defined elsewhere, through
// loops and branches, also where no op of the dialect stands.
// RUN: llmir-opt %s --convert-llm-to-cpu=features=avx2,fma,f16c | FileCheck %s --implicit-check-not=!llm.
// RUN: llmir-opt %s --llm-cpu-pipeline=features=avx2,fma,f16c | FileCheck %s --check-prefix=LLVM --implicit-check-not=!llm.

!kv = !llm.paged_kv_cache<f16, 2, 1, 16, 16, 64>

// CHECK: func.func private @make() -> !llvm.ptr
func.func private @make() -> !kv
// CHECK: func.func private @take(!llvm.ptr)
func.func private @take(%kv: !kv)

// CHECK-LABEL: func.func @pass_on()
// CHECK: %[[KV:.*]] = call @make() : () -> !llvm.ptr
// CHECK: call @take(%[[KV]]) : (!llvm.ptr) -> ()
func.func @pass_on() {
  %kv = call @make() : () -> !kv
  call @take(%kv) : (!kv) -> ()
  return
}

// CHECK-LABEL: func.func @loop(
// CHECK-SAME: %[[KV:[^:]*]]: !llvm.ptr
// CHECK: scf.for %[[LAYER:[^ ]*]] =
// CHECK: llvm.call @llmir_rt_cache_base(
// CHECK: func.call @store_kv_f16_2_1_16_16_16({{.*}}, %[[LAYER]])
// CHECK: return %{{.*}} : !llvm.ptr
// LLVM: llvm.func @llmir_rt_cache_base
// LLVM: llvm.func @loop(
func.func @loop(%kv: !kv, %k: tensor<?x1x16xf32>, %slots: tensor<?xi32>) -> !kv {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c2 = arith.constant 2 : index
  %result = scf.for %layer = %c0 to %c2 step %c1 iter_args(%cache = %kv) -> !kv {
    %next = llm.store_kv %cache, %k, %k, %slots layer(%layer)
        : (!kv, tensor<?x1x16xf32>, tensor<?x1x16xf32>, tensor<?xi32>, index) -> !kv
    scf.yield %next : !kv
  }
  return %result : !kv
}
