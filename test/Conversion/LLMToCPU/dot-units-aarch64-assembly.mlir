// What LLVM makes of AArch64's units: activations are lanes of registers, not copies of them, and
// pairs of products are added without extra instructions.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=neon,dotprod,i8mm' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=aarch64-linux-gnu --mcpu-features=neon,dotprod,i8mm \
// RUN:   | FileCheck %s --check-prefix=I8MM --implicit-check-not=saddlp
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=neon' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=aarch64-linux-gnu --mcpu-features=neon \
// RUN:   | FileCheck %s --check-prefix=NEON --implicit-check-not=sdot --implicit-check-not=smmla
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=neon,sve' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=aarch64-linux-gnu --mcpu-features=neon,sve \
// RUN:   | FileCheck %s --check-prefix=SVE --implicit-check-not=smmla

// I8MM-LABEL: {{^}}linear_q4_0_i8_128x64:
// I8MM: zip1 {{v[0-9]+}}.4s
// I8MM: smmla {{v[0-9]+}}.4s, {{v[0-9]+}}.16b, {{v[0-9]+}}.16b
// I8MM: sdot {{v[0-9]+}}.4s, {{v[0-9]+}}.16b, {{v[0-9]+}}.4b[{{[0-3]}}]
// I8MM-LABEL: {{^}}linear_q8_0_i8_96x64:
// I8MM: smmla
// I8MM: sdot {{.*}}.4b[
// I8MM-LABEL: {{^}}llmir_model_step:
// I8MM-NOT: sdot

// NEON-LABEL: {{^}}linear_q4_0_i8_128x64:
// NEON: smull {{v[0-9]+}}.8h
// NEON: smlal {{v[0-9]+}}.8h
// NEON-LABEL: {{^}}linear_q8_0_i8_96x64:
// NEON: smlal {{v[0-9]+}}.8h
// NEON: sadalp {{v[0-9]+}}.4s, {{v[0-9]+}}.8h
// NEON-LABEL: {{^}}llmir_model_step:
// NEON-NOT: smlal

// SVE-LABEL: {{^}}linear_q4_0_i8_128x64:
// SVE: sdot {{z[0-9]+}}.s, {{z[0-9]+}}.b, {{z[0-9]+}}.b
// SVE-LABEL: {{^}}linear_q8_0_i8_96x64:
// SVE: sdot {{z[0-9]+}}.s
// SVE-LABEL: {{^}}llmir_model_step:
// SVE-NOT: sdot
