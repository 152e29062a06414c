// Rotary scaling: each kind prints as it was written, and defaults are left out.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s

// CHECK: #llm.rope_scaling<linear, factor = 2.000000e+00>
func.func private @linear() attributes {test.scaling = #llm.rope_scaling<linear, factor = 2.0>}
// CHECK: #llm.rope_scaling<ntk, factor = 1.000000e+00>
func.func private @ntk() attributes {test.scaling = #llm.rope_scaling<ntk, factor = 1.0>}
// CHECK: #llm.rope_scaling<yarn, factor = 4.000000e+00, original = 4096>
func.func private @yarn() attributes {test.scaling =
    #llm.rope_scaling<yarn, original = 4096, factor = 4.0, beta_fast = 32.0, beta_slow = 1.0>}
// CHECK: #llm.rope_scaling<yarn, factor = 4.000000e+00, original = 4096, beta_slow = 2.000000e+00, beta_fast = 1.600000e+01, magnitude = 1.000000e+00>
func.func private @yarn_all() attributes {test.scaling =
    #llm.rope_scaling<yarn, factor = 4.0, original = 4096, beta_fast = 16.0, beta_slow = 2.0, magnitude = 1.0>}
// CHECK: #llm.rope_scaling<llama3, factor = 8.000000e+00, original = 8192>
func.func private @llama3() attributes {test.scaling =
    #llm.rope_scaling<llama3, factor = 8.0, original = 8192, low = 1.0, high = 4.0>}
// CHECK: #llm.rope_scaling<llama3, factor = 8.000000e+00, original = 8192, low = 5.000000e-01, high = 8.000000e+00>
func.func private @llama3_all() attributes {test.scaling =
    #llm.rope_scaling<llama3, factor = 8.0, original = 8192, low = 0.5, high = 8.0>}
// CHECK: #llm.rope_scaling<longrope, factor = 3.200000e+01, original = 4096>
func.func private @longrope() attributes {test.scaling =
    #llm.rope_scaling<longrope, factor = 32.0, original = 4096>}
