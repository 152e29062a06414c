// RUN: not llmir-translate --llmir-to-object %s -o %t.o 2>&1 | FileCheck %s
// RUN: not llmir-translate --llmir-to-object --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,warp9 %s 2>&1 | FileCheck %s --check-prefix=FEATURE
// RUN: not llmir-translate --llmir-to-object --target-triple=vax-dec-ultrix %s 2>&1 | FileCheck %s --check-prefix=TRIPLE

// FEATURE: error: unknown target feature 'warp9' for the triple 'x86_64-unknown-linux-gnu'
// TRIPLE: error: no code generator for the triple 'vax-dec-ultrix'
// CHECK: error: expected only operations of the LLVM dialect, but got 'builtin.unrealized_conversion_cast'; lower the module through the phase 'target' first
llvm.func @half_lowered(%a: i64) {
  %0 = builtin.unrealized_conversion_cast %a : i64 to index
  llvm.return
}
