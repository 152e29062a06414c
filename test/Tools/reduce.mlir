// What is left of a module is what makes the script say that it is interesting.
// RUN: llmir-reduce %s -reduction-tree='traversal-mode=0 test=%S/Inputs/has_geglu.sh' | FileCheck %s

// CHECK-NOT: func.func @other
// CHECK: llm.geglu
// CHECK-NOT: llm.swiglu
func.func @other(%x: tensor<?x8xf32>) {
  %0 = llm.swiglu %x, %x : tensor<?x8xf32>
  return
}
func.func @f(%x: tensor<?x8xf32>) {
  %0 = llm.swiglu %x, %x : tensor<?x8xf32>
  %1 = llm.geglu %x, %x : tensor<?x8xf32>
  %2 = llm.swiglu %x, %x : tensor<?x8xf32>
  return
}
