// RUN: llmir-opt %s --llm-fold-norms | FileCheck %s
// RUN: llmir-opt %s --llm-fold-norms --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-fold-norms: 2 norms-folded

llm.weight @norm : tensor<64xf32>
llm.weight @w : tensor<64x64xf32>
llm.weight @head : tensor<100x64xf32>

// CHECK-LABEL: func.func @matrix_ops
// CHECK-SAME: %[[X:[a-z0-9]+]]: tensor<?x64xf32>
func.func @matrix_ops(%x: tensor<?x64xf32>, %rows: tensor<?xi32>)
    -> (tensor<?x64xf32>, tensor<?x100xf32>) {
  // CHECK-NOT: llm.rms_norm
  // CHECK: llm.linear %[[X]], @w norm(@norm, {{.*}}) :
  // CHECK: llm.logits %[[X]], %{{.*}}, @head norm(@norm, {{.*}}) :
  // CHECK: return
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %y = llm.linear %n, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %l = llm.logits %n, %rows, @head : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x100xf32>
  return %y, %l : tensor<?x64xf32>, tensor<?x100xf32>
}

// Two norms in a row: the second meets no norm yet, the first is read by the second alone.
// CHECK-LABEL: func.func @chain
func.func @chain(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[N:.*]] = llm.rms_norm
  // CHECK-NEXT: llm.linear %[[N]], @w norm(@norm,
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %m = llm.rms_norm %n, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %y = llm.linear %m, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Something else reads the norm, be it as the residual of the same op.
// CHECK-LABEL: func.func @other_reader
func.func @other_reader(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: llm.rms_norm
  // CHECK-NEXT: llm.linear %{{.*}}, @w residual(%{{.*}})
  // CHECK-NEXT: llm.rms_norm
  // CHECK-NEXT: llm.linear %{{.*}}, @w :
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %y = llm.linear %n, @w residual(%n) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %m = llm.rms_norm %y, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %z = llm.linear %m, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %m, %z : tensor<?x64xf32>, tensor<?x64xf32>
}

// The op has a norm already.
// CHECK-LABEL: func.func @second_norm
func.func @second_norm(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: llm.rms_norm
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %y = llm.linear %n, @w norm(@norm, 1.0e-6) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
