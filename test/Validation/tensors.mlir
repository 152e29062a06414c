// Passes of MLIR over the dialects that attention is written in, checked by the same interpreter:
// constants fold, loops are hoisted from and unrolled, and generalised ops compute the same.
// RUN: llmir-opt %s --llm-validate-passes --canonicalize --cse --loop-invariant-code-motion --linalg-generalize-named-ops --linalg-fuse-elementwise-ops --inline -o /dev/null 2>&1 | FileCheck %s --implicit-check-not=error --implicit-check-not=warning
// RUN: not llmir-opt %s --llm-validate-passes --pass-pipeline='builtin.module(test-llm-wrong-rewrite{mistake=constants})' -o /dev/null 2>&1 | FileCheck %s --check-prefix=WRONG

// CHECK: llm-validate-passes: {{[0-9]+}} passes checked, {{[0-9]+}} results of functions compared
// WRONG: error: 'test-llm-wrong-rewrite' changed the result of @loop

func.func private @half(%x: f32) -> f32 {
  %c = arith.constant 5.0e-01 : f32
  %y = arith.mulf %x, %c : f32
  return %y : f32
}

func.func @loop(%x: tensor<4x6xf32>) -> (tensor<4x6xf32>, f32, i32) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %one = arith.constant 1.0 : f32
  %zero = arith.constant 0 : i32
  %r:3 = scf.for %i = %c0 to %c4 step %c1 iter_args(%t = %x, %sum = %one, %count = %zero)
      -> (tensor<4x6xf32>, f32, i32) {
    %e = tensor.extract %t[%i, %c1] : tensor<4x6xf32>
    %limit = arith.constant 2.5e-01 : f32
    %above = arith.cmpf ogt, %e, %limit : f32
    %next, %number = scf.if %above -> (f32, i32) {
      %h = func.call @half(%e) : (f32) -> f32
      %s = arith.addf %sum, %h : f32
      %two = arith.constant 2 : i32
      %n = arith.addi %count, %two : i32
      scf.yield %s, %n : f32, i32
    } else {
      %q = math.exp %e : f32
      %s = arith.subf %sum, %q : f32
      scf.yield %s, %count : f32, i32
    }
    %u = tensor.insert %next into %t[%i, %c0] : tensor<4x6xf32>
    scf.yield %u, %next, %number : tensor<4x6xf32>, f32, i32
  }
  return %r#0, %r#1, %r#2 : tensor<4x6xf32>, f32, i32
}

func.func @shapes(%x: tensor<?x6xf32>, %w: tensor<6x5xf32>) -> (tensor<?x5xf32>, tensor<3x2x5xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  %n = tensor.dim %x, %c0 : tensor<?x6xf32>
  %e = tensor.empty(%n) : tensor<?x5xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<?x5xf32>) -> tensor<?x5xf32>
  %y = linalg.matmul ins(%x, %w : tensor<?x6xf32>, tensor<6x5xf32>) outs(%f : tensor<?x5xf32>)
      -> tensor<?x5xf32>
  %t = tensor.expand_shape %w [[0, 1], [2]] output_shape [3, 2, 5]
      : tensor<6x5xf32> into tensor<3x2x5xf32>
  %s = tensor.extract_slice %t[0, 1, 0] [3, 1, 5] [1, 1, 1] : tensor<3x2x5xf32> to tensor<3x5xf32>
  %i = tensor.insert_slice %s into %t[0, 0, 0] [3, 1, 5] [1, 1, 1]
      : tensor<3x5xf32> into tensor<3x2x5xf32>
  return %y, %i : tensor<?x5xf32>, tensor<3x2x5xf32>
}

func.func @branches(%x: i32, %again: i1) -> i32 {
  %c7 = arith.constant 7 : i32
  cf.cond_br %again, ^body(%x : i32), ^exit(%c7 : i32)
^body(%v: i32):
  %w = arith.addi %v, %c7 : i32
  %limit = arith.constant 30 : i32
  %more = arith.cmpi slt, %w, %limit : i32
  cf.cond_br %more, ^body(%w : i32), ^exit(%w : i32)
^exit(%r: i32):
  return %r : i32
}
