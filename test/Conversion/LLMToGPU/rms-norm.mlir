// A norm outside a step: its weight is an external global of its name.
// RUN: llmir-opt %s --convert-llm-to-gpu --cse | FileCheck %s

// CHECK: memref.global @attn_norm : memref<576xf32>{{$}}
llm.weight @attn_norm : tensor<576xf32>

// CHECK-LABEL: func.func @norm(%{{.*}}: memref<?x576xf32>) -> memref<?x576xf32>
// CHECK: memref.get_global @attn_norm
// CHECK: call @launch_rms_norm_576_f32_f32_3727C5AC(
// CHECK: gpu.func @rms_norm_576_f32_f32_3727C5AC(
// CHECK: gpu.shuffle xor
// CHECK: gpu.barrier
// CHECK: llvm.call_intrinsic "llvm.sqrt.f32"
func.func @norm(%x: tensor<?x576xf32>) -> tensor<?x576xf32> {
  %y = llm.rms_norm %x, @attn_norm epsilon(1.0e-5) : tensor<?x576xf32>
  return %y : tensor<?x576xf32>
}
