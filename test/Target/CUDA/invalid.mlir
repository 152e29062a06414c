// What has no code for NVIDIA's GPUs.
// RUN: not llmir-translate --llmir-to-ptx %s 2>&1 | FileCheck %s
// RUN: not llmir-translate --llmir-to-ptx --gpu-chip=sm_7 %s 2>&1 | FileCheck %s --check-prefix=CHIP
// RUN: not llmir-translate --llmir-to-cubin --gpu-chip=gfx942 %s 2>&1 | FileCheck %s --check-prefix=VENDOR

// CHECK: error: expected a kernel (a gpu.func in a gpu.module, or llm ops that become one), but found none
// CHECK-NOT: error:
// CHIP: error: unknown GPU 'sm_7'; expected a chip of nvptx64-nvidia-cuda, such as sm_90
// CHIP-NOT: error:
// VENDOR: error: unknown GPU 'gfx942'; expected a chip of nvptx64-nvidia-cuda, such as sm_90
func.func @host_code() {
  return
}
