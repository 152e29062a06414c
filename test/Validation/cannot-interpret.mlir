// What the interpreter does not know is said once, at the op, and the module passes.
// RUN: llmir-opt %s --llm-validate-passes --canonicalize --cse -o /dev/null 2>&1 | FileCheck %s

// CHECK: cannot-interpret.mlir:[[# @LINE + 4]]:{{[0-9]+}}: warning: passes over @send are not validated: cannot interpret 'llm.send'
// CHECK: cannot-interpret.mlir:[[# @LINE + 7]]:{{[0-9]+}}: warning: passes over @ranks are not validated: cannot interpret 'llm.all_reduce' over several ranks
// CHECK-NOT: warning
func.func @send(%x: tensor<?x8xf32>, %context: !llm.step_context) {
  llm.send %x, %context to(1) : tensor<?x8xf32>
  return
}
func.func @ranks(%x: tensor<?x8xf32>, %context: !llm.step_context) -> tensor<?x8xf32> {
  %y = llm.all_reduce %x, %context shards(2) : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
// CHECK: llm-validate-passes: 2 passes checked, 6 results of functions compared
func.func @known(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  %y = arith.addf %x, %x : tensor<?x8xf32>
  return %y : tensor<?x8xf32>
}
