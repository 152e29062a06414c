// RUN: llmir-opt %s --split-input-file --llm-erase-weights --verify-diagnostics | FileCheck %s
// RUN: llmir-opt %s --split-input-file --llm-erase-weights --verify-diagnostics --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-erase-weights: 2 weights-erased

// CHECK-NOT: llm.weight
// CHECK: func.func @kept
llm.weight @norm offset(0) : tensor<576xf32>
func.func @kept() {
  return
}
llm.weight @embd offset(2304) : tensor<32x576xf16>

// -----

// expected-error @+1 {{expected no use of weight 'norm'}}
llm.weight @norm : tensor<64xf32>
func.func @uses(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = llm.rms_norm %x, @norm epsilon(0.0) : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
