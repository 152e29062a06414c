// Ops on buffers have no lowering of this project's: each pipeline refuses a bufferised step and
// bufferised functions with one diagnostic.
// RUN: llmir-opt %S/../Dialect/LLM/bufferization-step.mlir --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" -o %t.step.mlir
// RUN: not llmir-opt %t.step.mlir --llm-optimization-pipeline=activations=f32 -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %t.step.mlir --llm-cpu-pipeline="activations=f32 features=avx2,fma,f16c" -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %t.step.mlir --llm-gpu-pipeline -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %s --llm-optimization-pipeline -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %s --llm-cpu-pipeline=features=avx2,fma,f16c -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %s --llm-gpu-pipeline -o /dev/null 2>&1 | FileCheck %s
// RUN: not llmir-opt %s --convert-llm-to-gpu -o /dev/null 2>&1 | FileCheck %s --check-prefixes=CHECK,FORM

// CHECK: error:
// FORM-SAME: 'llm.rms_norm' op expected tensors, since it is lowered before bufferisation, but got 'memref<?x64xf32>'
// CHECK-NOT: error:
llm.weight @norm : tensor<64xf32>
func.func @norm_of_buffer(%x: memref<?x64xf32>) -> memref<?x64xf32> {
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : memref<?x64xf32>
  return %n : memref<?x64xf32>
}
