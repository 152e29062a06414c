// What has no code for AMD's GPUs.
// RUN: not llmir-translate --llmir-to-hsaco %s 2>&1 | FileCheck %s
// RUN: not llmir-translate --llmir-to-hsaco --gpu-chip=sm_90 %s 2>&1 | FileCheck %s --check-prefix=CHIP

// CHECK: error: {{.*}}expected one gpu.module with kernels, but got 2
// CHIP: error: unknown GPU 'sm_90'; expected a chip of amdgcn-amd-amdhsa, such as gfx942
gpu.module @first {
  gpu.func @kernel() kernel {
    gpu.return
  }
}
gpu.module @second {
  gpu.func @kernel() kernel {
    gpu.return
  }
}
