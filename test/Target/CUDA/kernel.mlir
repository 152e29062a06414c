// A kernel that was written by hand, and reductions over subgroups and blocks.
// RUN: llmir-translate --llmir-to-ptx %s | FileCheck %s

// CHECK: .visible .entry sum(
// CHECK: shfl.sync.bfly.b32
// CHECK: bar.sync
gpu.module @kernels {
  gpu.func @sum(%data: memref<?xf32>) kernel {
    %c0 = arith.constant 0 : index
    %i = gpu.thread_id x
    %x = memref.load %data[%i] : memref<?xf32>
    %s = gpu.subgroup_reduce add %x : (f32) -> f32
    gpu.barrier
    memref.store %s, %data[%c0] : memref<?xf32>
    gpu.return
  }
}
