// RUN: llmir-translate --llmir-to-llvmir --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma %s | FileCheck %s --check-prefix=IR
// RUN: llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma %s | FileCheck %s --check-prefix=ASM
// RUN: llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu %s | FileCheck %s --check-prefix=BASE
// RUN: llmir-translate --llmir-to-assembly --target-triple=aarch64-unknown-linux-gnu --mcpu-features=dotprod %s | FileCheck %s --check-prefix=ARM
// RUN: llmir-translate --llmir-to-object --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma %s -o %t.o
// RUN: llvm-readelf --symbols %t.o | FileCheck %s --check-prefix=SYMBOLS

// The features decide the instructions; the result of an operation is never changed by fast-math
// flags: the separate product and sum stay apart.

// IR: target triple = "x86_64-unknown-linux-gnu"
// IR-LABEL: define {{.*}}@multiply_add
// IR: call <8 x float> @llvm.fma.v8f32
// IR-LABEL: define {{.*}}@multiply_then_add
// IR: fmul <8 x float>
// IR: fadd <8 x float>
// IR: "target-features"="+avx2,+fma"
// IR-SAME: "tune-cpu"="x86-64-v3"

// ASM-LABEL: multiply_add:
// ASM: vfmadd{{.*}}%ymm
// ASM-LABEL: multiply_then_add:
// ASM: vmulps
// ASM: vaddps

// BASE-LABEL: multiply_add:
// BASE: fmaf
// ARM-LABEL: multiply_add:
// ARM: fmla
llvm.func @multiply_add(%a: !llvm.ptr, %b: !llvm.ptr, %c: !llvm.ptr) {
  %x = llvm.load %a {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %y = llvm.load %b {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %z = llvm.load %c {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %r = llvm.intr.fma(%x, %y, %z) : (vector<8xf32>, vector<8xf32>, vector<8xf32>) -> vector<8xf32>
  llvm.store %r, %c {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
  llvm.return
}

llvm.func @multiply_then_add(%a: !llvm.ptr, %b: !llvm.ptr, %c: !llvm.ptr) {
  %x = llvm.load %a {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %y = llvm.load %b {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %z = llvm.load %c {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
  %p = llvm.fmul %x, %y : vector<8xf32>
  %r = llvm.fadd %p, %z : vector<8xf32>
  llvm.store %r, %c {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
  llvm.return
}

// SYMBOLS-DAG: FUNC GLOBAL DEFAULT {{.*}} multiply_add
// SYMBOLS-DAG: FUNC GLOBAL DEFAULT {{.*}} multiply_then_add
