// Code for dots of bf16 pairs and for AMX tiles assembles, on any host: the instructions are those of
// the level asked for, in the loops that are meant to have them, and processors get them by name.
// RUN: llmir-opt %S/Inputs/bf16-step.mlir --llm-cpu-pipeline='activations=bf16 features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16 \
// RUN:   | FileCheck %s --check-prefix=DOTS --implicit-check-not=tmm
// RUN: llmir-opt %S/Inputs/bf16-step.mlir --llm-cpu-pipeline='activations=bf16 features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,amx-tile,amx-bf16' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,avx512bf16,amx-tile,amx-bf16 \
// RUN:   | FileCheck %s --check-prefix=TILES --implicit-check-not=vdpbf16ps --implicit-check-not=tdpbssd
// RUN: llmir-opt %S/Inputs/step.mlir --llm-cpu-pipeline='features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512bw,avx512vl,avx512vnni,amx-tile,amx-int8 \
// RUN:   | FileCheck %s --check-prefix=BYTES --implicit-check-not=tdpbf16ps

// Short vectors have them too.
// RUN: llmir-opt %S/Inputs/bf16-step.mlir --llm-cpu-pipeline='activations=bf16 features=avx2,fma,f16c,avx512f,avx512vl,avx512bf16' \
// RUN:   | llmir-translate --llmir-to-assembly --target-triple=x86_64-unknown-linux-gnu --mcpu-features=avx2,fma,f16c,avx512f,avx512vl,avx512bf16 \
// RUN:   | FileCheck %s --check-prefix=SHORT --implicit-check-not=tmm

// Twelve tokens meet a weight of 16 rows: 24 sums in registers, activations from memory, no spill.
// DOTS-LABEL: {{^}}linear_bf16_bf16_160x75_tokens12:
// DOTS-NOT: {{zmm.*\(%rsp\)|\(%rsp\).*zmm}}
// DOTS-COUNT-24: vdpbf16ps {{.*}}){1to16}, %zmm
// DOTS-NOT: {{zmm.*\(%rsp\)|\(%rsp\).*zmm}}
// DOTS-LABEL: {{^}}linear_bf16_bf16_96x160_swiglu_tokens12:
// DOTS: vdpbf16ps

// The one-token path takes the tile, too.
// TILES-LABEL: {{^}}linear_bf16_bf16_160x75_tokens32:
// TILES: ldtilecfg
// TILES: tdpbf16ps
// TILES: tdpbf16ps
// TILES: tilestored
// TILES: tilerelease
// TILES-LABEL: {{^}}linear_bf16_bf16_160x75_tokens1:
// TILES: tdpbf16ps

// BYTES-LABEL: {{^}}linear_q4_0_i8_128x64_tokens16:
// BYTES: tdpbssd
// BYTES: tilestored
// BYTES: vcvtdq2ps {{.*}}(%rsp), %zmm
// BYTES-LABEL: {{^}}linear_q8_0_i8_96x64:
// BYTES: vpdpbusd {{.*}}%zmm
// BYTES-LABEL: {{^}}linear_q8_0_i8_96x64_tokens16:
// BYTES: tdpbssd

// SHORT-LABEL: {{^}}linear_bf16_bf16_160x75:
// SHORT: vdpbf16ps {{.*}}%ymm
