// One error at the first op, or type, that a target does not have.
// RUN: llmir-opt %s --llm-verify-lowered=dialects=func,arith,builtin --split-input-file --verify-diagnostics -o /dev/null
// RUN: llmir-opt %s --llm-verify-lowered --llm-pass-statistics --split-input-file -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-verify-lowered: {{[0-9]+}} ops-verified

func.func @lowered(%x: i32) -> i32 {
  %y = arith.addi %x, %x : i32
  return %y : i32
}

// -----

func.func @branch(%condition: i1) {
  // expected-error @+1 {{'scf.if' op expected to be lowered to ops of func, arith, builtin, but got one of scf}}
  scf.if %condition {
  }
  return
}

// -----

// expected-error @+1 {{'func.func' op expected types that are lowered, but got 'tensor<4xf32>'}}
func.func @tensor(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
