// What cannot be run on the CPU: one message each.
// RUN: llmir-opt %s --convert-gpu-to-simt --split-input-file --verify-diagnostics
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-gpu-to-simt=subgroup-size=0 2>&1 | FileCheck %s --check-prefix=SIZE

// SIZE: error: expected 'subgroup-size' to be positive, but got 0

gpu.module @kernels {
  gpu.func @print(%x: f32) kernel {
    // expected-error @+1 {{'gpu.printf' op has no meaning on the CPU; expected ids, sizes, barriers, shuffles and reductions}}
    gpu.printf "%f", %x : f32
    gpu.return
  }
}

// -----

gpu.module @kernels {
  // expected-error @+1 {{'gpu.func' op has no meaning on the CPU; expected kernels alone in a gpu.module}}
  gpu.func @helper(%x: f32) -> f32 {
    gpu.return %x : f32
  }
}

// -----

func.func @asynchronous(%size: index) {
  // expected-error @+1 {{'gpu.alloc' op is expected to be synchronous to run on the CPU}}
  %memory, %token = gpu.alloc async (%size) : memref<?xf32>
  return
}

// -----

func.func @pinned(%memory: memref<*xf32>) {
  // expected-error @+1 {{'gpu.host_register' op has no meaning on the CPU; expected gpu.launch_func, gpu.alloc, gpu.dealloc or gpu.memcpy}}
  gpu.host_register %memory : memref<*xf32>
  return
}
