// RUN: not llmir-opt %s --llm-quantize-weights=group-size=48 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not llmir-opt %s --llm-quantize-weights=keep=[ 2>&1 | FileCheck %s --check-prefix=KEEP
// RUN: not llmir-opt %s --llm-quantize-weights=sample-rows=-1 2>&1 | FileCheck %s --check-prefix=ROWS
// RUN: not llmir-opt %s --llm-quantize-weights=checkpoint=%t.nothing 2>&1 | FileCheck %s --check-prefix=FILE
// RUN: not llmir-opt %s --llm-quantize-weights=storage=i2 2>&1 | FileCheck %s --check-prefix=STORAGE

// GROUP: error: llm-quantize-weights: expected 'group-size' to be 32, 64 or 128, but got 48
// KEEP: error: llm-quantize-weights: expected 'keep' to be patterns, but '[' is not
// ROWS: error: llm-quantize-weights: expected 'sample-rows' to be at least 0, but got -1
// FILE: error: llm-quantize-weights: {{.*}}.nothing
// STORAGE: 'i2'
llm.weight @w : tensor<32x32xf32>
