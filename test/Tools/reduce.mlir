// What passes can take away without making the module uninteresting to a script is gone. (The
// `reduction-tree` pass of the packaged MLIR crashes on every module, mlir-reduce's too.)
// RUN: llmir-reduce %s -opt-reduction-pass='opt-pass=symbol-dce test=%S/Inputs/has_geglu.sh' -o %t.mlir
// RUN: llmir-reduce %t.mlir -opt-reduction-pass='opt-pass=canonicalize test=%S/Inputs/has_geglu.sh' | FileCheck %s
// RUN: sed s/geglu/swiglu/ %s > %t.dull.mlir
// RUN: not llmir-reduce %t.dull.mlir -opt-reduction-pass='opt-pass=canonicalize test=%S/Inputs/has_geglu.sh' 2>&1 | FileCheck %s --check-prefix=DULL

// CHECK-NOT: @other
// CHECK: llm.geglu
// CHECK-NOT: llm.swiglu
// DULL: the original input is not interest
func.func private @other(%x: tensor<?x8xf32>) {
  %0 = llm.swiglu %x, %x : tensor<?x8xf32>
  return
}
func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %0 = llm.swiglu %x, %x : tensor<?x8xf32>
  %1 = llm.geglu %x, %x : tensor<?x8xf32>
  return %1 : tensor<?x8xf32>
}
