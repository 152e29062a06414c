// A kernel becomes a function that runs one thread; what is shared becomes calls of the runtime.
// RUN: llmir-opt %s --convert-gpu-to-simt | FileCheck %s --implicit-check-not='= gpu.' --implicit-check-not='  gpu.'
// RUN: llmir-opt %s --convert-gpu-to-simt=checks=false | FileCheck %s --check-prefix=UNCHECKED
// RUN: llmir-opt %s --convert-gpu-to-simt --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS
// RUN: llmir-opt %s --convert-gpu-to-simt --llm-cpu-pipeline | llmir-translate --llmir-to-object -o %t.o

// STATISTICS-DAG: convert-gpu-to-simt: 1 kernels-converted
// STATISTICS-DAG: convert-gpu-to-simt: 1 launches-converted

module attributes {gpu.container_module} {
// CHECK-LABEL: func.func @host(
// CHECK: %[[DEVICE:.*]] = memref.alloc
// CHECK: memref.copy %{{.*}}, %[[DEVICE]]
// CHECK: %[[ARGUMENTS:.*]] = llvm.alloca %{{.*}} x !llvm.struct<(struct<(ptr, ptr, i64, array<1 x i64>, array<1 x i64>)>, f32)>
// CHECK: constant @kernels_sum : (!llvm.ptr, !llvm.ptr) -> ()
// CHECK: llvm.call @llmir_simt_launch(
// CHECK: memref.copy %[[DEVICE]],
// CHECK: memref.dealloc %[[DEVICE]]
func.func @host(%data: memref<?xf32>, %factor: f32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c64 = arith.constant 64 : index
  %size = memref.dim %data, %c0 : memref<?xf32>
  %device = gpu.alloc (%size) : memref<?xf32>
  gpu.memcpy %device, %data : memref<?xf32>, memref<?xf32>
  gpu.launch_func @kernels::@sum blocks in (%c1, %c1, %c1) threads in (%c64, %c1, %c1)
      args(%device : memref<?xf32>, %factor : f32)
  gpu.memcpy %data, %device : memref<?xf32>, memref<?xf32>
  gpu.dealloc %device : memref<?xf32>
  return
}

// CHECK-LABEL: func.func private @kernels_sum(
// CHECK-SAME: %[[ARGS:.*]]: !llvm.ptr, %[[THREAD:.*]]: !llvm.ptr) attributes {llvm.linkage = #llvm.linkage<internal>}
// CHECK: %[[ID:.*]] = arith.index_cast
// Out of bounds: reported, and zero.
// CHECK: %[[INSIDE:.*]] = arith.cmpi ult, %[[ID]], %{{.*}} : index
// CHECK: scf.if %[[INSIDE]] -> (f32) {
// CHECK:   memref.load
// CHECK: } else {
// CHECK:   llvm.call @llmir_simt_out_of_bounds(%[[THREAD]],
// CHECK: }
// A reduction over the subgroup is shuffles.
// CHECK-COUNT-5: llvm.call @llmir_simt_shuffle(%[[THREAD]],
// CHECK: llvm.call @llmir_simt_workgroup_access(%[[THREAD]],
// CHECK: llvm.call @llmir_simt_barrier(%[[THREAD]],

// UNCHECKED-NOT: llmir_simt_out_of_bounds
// UNCHECKED-NOT: llmir_simt_workgroup_access
// UNCHECKED: func.func private @kernels_sum(
gpu.module @kernels {
  gpu.func @sum(%data: memref<?xf32>, %factor: f32)
      workgroup(%shared: memref<2xf32, #gpu.address_space<workgroup>>) kernel {
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %i = gpu.thread_id x
    %x = memref.load %data[%i] : memref<?xf32>
    %y = arith.mulf %x, %factor : f32
    %sum = gpu.subgroup_reduce add %y : (f32) -> f32
    %subgroup = gpu.subgroup_id : index
    %lane = gpu.lane_id
    %is_first = arith.cmpi eq, %lane, %c0 : index
    scf.if %is_first {
      memref.store %sum, %shared[%subgroup] : memref<2xf32, #gpu.address_space<workgroup>>
    }
    gpu.barrier
    %a = memref.load %shared[%c0] : memref<2xf32, #gpu.address_space<workgroup>>
    %b = memref.load %shared[%c1] : memref<2xf32, #gpu.address_space<workgroup>>
    %all = arith.addf %a, %b : f32
    memref.store %all, %data[%i] : memref<?xf32>
    gpu.return
  }
}
}
