// Code for VNNI assembles, on any host: the instructions are those of the level asked for.
// Tile functions stay functions, so that profiles and eyes find them.
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=avx2,fma,f16c,avxvnni' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avxvnni \
// RUN:   | FileCheck %s --check-prefix=AVXVNNI --implicit-check-not=%%zmm --implicit-check-not=vpmaddubsw
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni \
// RUN:   | FileCheck %s --check-prefix=AVX512 --implicit-check-not=vpmaddubsw
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=avx2,fma,f16c' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c \
// RUN:   | FileCheck %s --check-prefix=AVX2 --implicit-check-not=vpdpbusd --implicit-check-not=%%zmm

// AVXVNNI-LABEL: {{^}}linear_q4_0_i8_128x64:
// AVXVNNI: {vex} vpdpbusd {{.*}}%ymm
// AVXVNNI-LABEL: {{^}}linear_q4_0_i8_96x64_swiglu:
// AVXVNNI: {vex} vpdpbusd {{.*}}%ymm
// AVXVNNI-LABEL: {{^}}linear_q8_0_i8_96x64:
// AVXVNNI: {vex} vpdpbusd {{.*}}%ymm
// AVXVNNI-LABEL: {{^}}llmir_model_step:
// AVXVNNI-NOT: vpdpbusd

// AVX512-LABEL: {{^}}linear_q4_0_i8_128x64:
// AVX512: vpdpbusd {{.*}}%zmm
// AVX512-LABEL: {{^}}linear_q4_0_i8_96x64_swiglu:
// AVX512: vpdpbusd {{.*}}%zmm
// AVX512-LABEL: {{^}}linear_q8_0_i8_96x64:
// AVX512: vpdpbusd {{.*}}%zmm
// AVX512-LABEL: {{^}}llmir_model_step:
// AVX512-NOT: vpdpbusd

// AVX2-LABEL: {{^}}linear_q4_0_i8_128x64:
// AVX2: vpmaddubsw {{.*}}%ymm
// AVX2-LABEL: {{^}}linear_q8_0_i8_96x64:
// AVX2: vpmaddubsw {{.*}}%ymm
// AVX2-LABEL: {{^}}llmir_model_step:
// AVX2-NOT: vpmaddubsw
