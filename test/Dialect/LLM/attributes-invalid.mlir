// Rotary scaling that is refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

// (RS-1)
// expected-error @+1 {{expected a 'factor'}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<yarn, original = 4096>}

// -----

// (RS-2)
// expected-error @+1 {{expected 'factor' to be at least 1, but got 5.000000e-01}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<linear, factor = 0.5>}

// -----

// (RS-3)
// expected-error @+1 {{expected 'original', the longest sequence of training, to be at least 2, but got 0}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<llama3, factor = 8.0>}

// -----

// (RS-4)
// expected-error @+1 {{expected 0 < 'low' < 'high', but got 4.000000e+00 and 4.000000e+00}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<llama3, factor = 8.0, original = 8192, low = 4.0>}

// -----

// (RS-4)
// expected-error @+1 {{expected 0 < 'beta_slow' < 'beta_fast', but got 0.000000e+00 and 3.200000e+01}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<yarn, factor = 8.0, original = 8192, beta_slow = 0.0>}

// -----

// (RS-5)
// expected-error @+1 {{expected 'magnitude' to be positive, but got -1.000000e+00}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<longrope, factor = 8.0, original = 8192, magnitude = -1.0>}

// -----

// (TYP-1)
// expected-error @+1 {{expected one of 'factor', but got 'original'}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<linear, factor = 8.0, original = 8192>}

// -----

// (TYP-1)
// expected-error @+1 {{expected one of 'factor', 'original', 'low', 'high', but got 'beta_fast'}}
func.func private @f() attributes {test.scaling = #llm.rope_scaling<llama3, factor = 8.0, original = 8192, beta_fast = 2.0>}
