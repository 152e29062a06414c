// AArch64's units, of a step with weights of four bits and of eight: smull and sadalp in the base,
// sdot, smmla for four tokens (zipped codes), and SVE's sdot on vectors without a length.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=neon \
// RUN:   | FileCheck %s --check-prefix=NEON --implicit-check-not=sdot --implicit-check-not=smmla
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=neon,dotprod \
// RUN:   | FileCheck %s --check-prefix=DOT --implicit-check-not=saddlp --implicit-check-not=smmla
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=neon,dotprod,i8mm \
// RUN:   | FileCheck %s --check-prefix=I8MM --implicit-check-not=saddlp
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=neon,dotprod,sve \
// RUN:   | FileCheck %s --check-prefix=SVE --implicit-check-not=neon.sdot

// Half of i8mm is none; smmla without sdot is not used.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts --llm-form-parallel-step=features=neon,i8mm \
// RUN:   | FileCheck %s --check-prefix=NEON --implicit-check-not=sdot --implicit-check-not=smmla

// Units of x86 are not emulated elsewhere.
// RUN: not llmir-opt %S/Inputs/step.mlir --llm-choose-packed-layouts \
// RUN:   --llm-form-parallel-step="features=neon emulate=avx2,fma,f16c" 2>&1 | FileCheck %s --check-prefix=X86

// NEON: func.func private @linear_q4_0_i8_128x64
// NEON: arith.extsi {{.*}} : vector<8xi8> to vector<8xi16>
// NEON: llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"({{.*}}) : (vector<8xi16>) -> vector<4xi32>
// NEON: func.func private @linear_q8_0_i8_96x64
// NEON: llvm.call_intrinsic "llvm.aarch64.neon.saddlp.v4i32.v8i16"

// DOT: func.func private @linear_q4_0_i8_128x64
// DOT: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"({{.*}}) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
// DOT: func.func private @linear_q8_0_i8_96x64
// DOT: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"

// I8MM: func.func private @linear_q4_0_i8_128x64
// I8MM: vector.shuffle {{.*}} [0, 4, 1, 5] : vector<4xi32>, vector<4xi32>
// I8MM: llvm.call_intrinsic "llvm.aarch64.neon.smmla.v4i32.v16i8"({{.*}}) : (vector<4xi32>, vector<16xi8>, vector<16xi8>) -> vector<4xi32>
// I8MM: llvm.call_intrinsic "llvm.aarch64.neon.sdot.v4i32.v16i8"
// I8MM: func.func private @linear_q8_0_i8_96x64
// I8MM: llvm.call_intrinsic "llvm.aarch64.neon.smmla.v4i32.v16i8"

// SVE: func.func private @linear_q4_0_i8_128x64
// SVE: vector.vscale
// SVE: llvm.call_intrinsic "llvm.aarch64.sve.sdot.nxv4i32"({{.*}}) : (vector<[4]xi32>, vector<[16]xi8>, vector<[16]xi8>) -> vector<[4]xi32>
// SVE: func.func private @linear_q8_0_i8_96x64
// SVE: llvm.call_intrinsic "llvm.aarch64.sve.sdot.nxv4i32"

// X86: error: expected a target with the feature 'avx2'
