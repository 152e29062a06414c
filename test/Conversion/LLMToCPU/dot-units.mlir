// The features decide the byte dot products, and nothing else does: one unit in a step, for weights
// of four bits and of eight.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c \
// RUN:   | FileCheck %s --check-prefix=AVX2 --implicit-check-not=vpdpbusd
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c,avxvnni \
// RUN:   | FileCheck %s --check-prefix=AVXVNNI --implicit-check-not=pmadd --implicit-check-not=vpdpbusd.512
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni \
// RUN:   | FileCheck %s --check-prefix=AVX512 --implicit-check-not=pmadd --implicit-check-not=vpdpbusd.256

// Half of AVX-512 VNNI is none.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c,avx512f,avx512vnni \
// RUN:   | FileCheck %s --check-prefix=AVX2 --implicit-check-not=vpdpbusd

// AVX2: func.func private @linear_q4_0_i8_128x64
// AVX2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"({{.*}}) : (vector<32xi8>, vector<32xi8>) -> vector<16xi16>
// AVX2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.wd"({{.*}}) : (vector<16xi16>, vector<16xi16>) -> vector<8xi32>
// AVX2: func.func private @linear_q8_0_i8_96x64
// AVX2: llvm.call_intrinsic "llvm.x86.avx2.psign.b"
// AVX2: llvm.call_intrinsic "llvm.x86.avx2.pmadd.ub.sw"

// AVXVNNI: func.func private @linear_q4_0_i8_128x64
// AVXVNNI: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"({{.*}}) : (vector<8xi32>, vector<32xi8>, vector<32xi8>) -> vector<8xi32>
// AVXVNNI: func.func private @linear_q8_0_i8_96x64
// AVXVNNI: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.256"

// AVX512: func.func private @linear_q4_0_i8_128x64
// AVX512: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"({{.*}}) : (vector<16xi32>, vector<64xi8>, vector<64xi8>) -> vector<16xi32>
// AVX512: func.func private @linear_q8_0_i8_96x64
// AVX512: llvm.call_intrinsic "llvm.x86.avx512.vpdpbusd.512"
