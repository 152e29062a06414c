// RUN: llmir-opt %s --llm-fold-residuals | FileCheck %s
// RUN: llmir-opt %s --llm-fold-residuals --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-fold-residuals: 3 residuals-folded

llm.weight @w : tensor<64x64xf32>
llm.weight @u : tensor<64x64xf32>

// CHECK-LABEL: func.func @either_side
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf32>
func.func @either_side(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK-NEXT: %[[Y:.*]] = llm.linear %[[X]], @w residual(%[[X]])
  // CHECK-NEXT: %[[Z:.*]] = llm.linear %[[Y]], @u residual(%[[Y]])
  // CHECK-NEXT: return %[[Z]]
  %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %x, %p : tensor<?x64xf32>
  %q = llm.linear %y, @u : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %z = arith.addf %q, %y : tensor<?x64xf32>
  return %z : tensor<?x64xf32>
}

// Of two projections the later one takes the earlier one.
// CHECK-LABEL: func.func @two_projections
func.func @two_projections(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: %[[P:.*]] = llm.linear %{{.*}}, @w :
  // CHECK-NEXT: llm.linear %{{.*}}, @u residual(%[[P]])
  %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %q = llm.linear %x, @u : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %p, %q : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The projection has another reader.
// CHECK-LABEL: func.func @other_reader
func.func @other_reader(%x: tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK: arith.addf
  %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %x, %p : tensor<?x64xf32>
  return %p, %y : tensor<?x64xf32>, tensor<?x64xf32>
}

// The projection added to itself has two uses.
// CHECK-LABEL: func.func @twice
func.func @twice(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: arith.addf
  %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %p, %p : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// The other operand is not there yet when the projection runs.
// CHECK-LABEL: func.func @too_late
func.func @too_late(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: arith.mulf
  // CHECK-NEXT: arith.addf
  %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %m = arith.mulf %x, %x : tensor<?x64xf32>
  %y = arith.addf %p, %m : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// It has a residual already.
// CHECK-LABEL: func.func @second_residual
func.func @second_residual(%x: tensor<?x64xf32>, %r: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK: arith.addf
  %p = llm.linear %x, @w residual(%r) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %y = arith.addf %p, %x : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
