// Dense attention that is refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x32xf32>) {
  // (DAT-1)
  // expected-error @+2 {{'llm.attention' op inferred type(s) 'tensor<2x3x4x32xf32>' are incompatible with return type(s) of operation 'tensor<2x3x4x64xf32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x32xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<6x2x64xf32>, %v: tensor<6x2x64xf32>) {
  // (DAT-2)
  // expected-error @+1 {{'llm.attention' op expected 'keys' and 'values' to have the rank of 'query', 4, but got 3 and 3}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<6x2x64xf32>, tensor<6x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf16>) {
  // (DAT-3)
  // expected-error @+1 {{'llm.attention' op expected 'values' to have the element type of 'keys', 'f32', but got 'f16'}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf16>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>) {
  // (DAT-4)
  // expected-error @+1 {{'llm.attention' op expected dimension 2 of 'query' to be 'num_heads', 8, but got 4}}
  %0 = llm.attention %q, %k, %v {num_heads = 8 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x3x64xf32>, %v: tensor<2x9x3x64xf32>) {
  // (DAT-5)
  // expected-error @+1 {{'llm.attention' op expected 'num_heads' to be a positive multiple of the 3 heads of 'keys', but got 4}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x3x64xf32>, tensor<2x9x3x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x8x2x64xf32>) {
  // (DAT-6)
  // expected-error @+1 {{'llm.attention' op expected dimension 1 of 'values' to be that of 'keys', 9, but got 8}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x8x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x32xf32>, %v: tensor<2x9x2x64xf32>) {
  // (DAT-7)
  // expected-error @+1 {{'llm.attention' op expected dimension 3 of 'keys' to be the query's head size 64, but got 32}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x32xf32>, tensor<2x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<1x9x2x64xf32>, %v: tensor<1x9x2x64xf32>) {
  // (DAT-8)
  // expected-error @+1 {{'llm.attention' op expected dimension 0 of 'keys' to be the query's batch size 2, but got 1}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<1x9x2x64xf32>, tensor<1x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<6x4x64xf32>, %k: tensor<6x2x64xf32>, %v: tensor<6x2x64xf32>) {
  // (DAT-9)
  // expected-error @+1 {{'llm.attention' op expected 'cu_lengths' for a ragged query of rank 3 and only then, but got a query of rank 3}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, tensor<6x2x64xf32>, tensor<6x2x64xf32>) -> tensor<6x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %cu_0: tensor<3xi32>) {
  // (DAT-9)
  // expected-error @+1 {{'llm.attention' op expected 'cu_lengths' for a ragged query of rank 3 and only then, but got a query of rank 4}}
  %0 = llm.attention %q, %k, %v cu_lengths(%cu_0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<3xi32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<6x4x64xf32>, %k: tensor<6x2x64xf32>, %v: tensor<6x2x64xf32>, %key0: tensor<2xi32>, %cu_1: tensor<3xi32>) {
  // (DAT-10)
  // expected-error @+1 {{'llm.attention' op expected 'key_lengths' only with a padded query of rank 4}}
  %0 = llm.attention %q, %k, %v key_lengths(%key0) cu_lengths(%cu_1) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, tensor<6x2x64xf32>, tensor<6x2x64xf32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<6x4x64xf32>, %k: tensor<6x2x64xf32>, %v: tensor<6x2x64xf32>, %cu_0: tensor<3xi32>, %cu_1: tensor<4xi32>) {
  // (DAT-11)
  // expected-error @+1 {{'llm.attention' op expected dimension 0 of 'cu_key_lengths' to be that of 'cu_lengths', 3, but got 4}}
  %0 = llm.attention %q, %k, %v cu_lengths(%cu_0) cu_key_lengths(%cu_1) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, tensor<6x2x64xf32>, tensor<6x2x64xf32>, tensor<3xi32>, tensor<4xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<6x4x64xf32>, %k: tensor<8x2x64xf32>, %v: tensor<8x2x64xf32>, %cu_0: tensor<3xi32>) {
  // (DAT-12)
  // expected-error @+1 {{'llm.attention' op expected dimension 0 of 'keys' to be the number of tokens, without 'cu_key_lengths', 6, but got 8}}
  %0 = llm.attention %q, %k, %v cu_lengths(%cu_0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, tensor<8x2x64xf32>, tensor<8x2x64xf32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %cu_0: tensor<3xi32>) {
  // (DAT-13)
  // expected-error @+1 {{'llm.attention' op expected 'cu_key_lengths' only with a ragged query of rank 3}}
  %0 = llm.attention %q, %k, %v cu_key_lengths(%cu_0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<3xi32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %key0: tensor<3xi32>) {
  // (DAT-14)
  // expected-error @+1 {{'llm.attention' op expected dimension 0 of 'key_lengths' to be the query's batch size 2, but got 3}}
  %0 = llm.attention %q, %k, %v key_lengths(%key0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<3xi32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<6x4x64xf32>, %k: tensor<6x2x64xf32>, %v: tensor<6x2x64xf32>, %mas0: tensor<1x1x6x6xi1>, %cu_1: tensor<3xi32>) {
  // (DAT-15)
  // expected-error @+1 {{'llm.attention' op expected a 'mask' only with a padded query of rank 4}}
  %0 = llm.attention %q, %k, %v mask(%mas0) cu_lengths(%cu_1) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, tensor<6x2x64xf32>, tensor<6x2x64xf32>, tensor<1x1x6x6xi1>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %mas0: tensor<1x2x3x9xi1>) {
  // (DAT-16)
  // expected-error @+1 {{'llm.attention' op expected dimension 1 of 'mask' to be 1 or the number of query heads 4, but got 2}}
  %0 = llm.attention %q, %k, %v mask(%mas0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<1x2x3x9xi1>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %mas0: tensor<3x1x3x9xi1>) {
  // (DAT-16)
  // expected-error @+1 {{'llm.attention' op expected dimension 0 of 'mask' to be 1 or the query's batch size 2, but got 3}}
  %0 = llm.attention %q, %k, %v mask(%mas0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<3x1x3x9xi1>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %mas0: tensor<1x1x9x9xf32>) {
  // (DAT-17)
  // expected-error @+1 {{'llm.attention' op expected dimension 2 of 'mask' to be the number of queries 3, but got 9}}
  %0 = llm.attention %q, %k, %v mask(%mas0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<1x1x9x9xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>, %mas0: tensor<1x1x3x3xf32>) {
  // (DAT-17)
  // expected-error @+1 {{'llm.attention' op expected dimension 3 of 'mask' to be the number of keys 9, but got 3}}
  %0 = llm.attention %q, %k, %v mask(%mas0) {num_heads = 4 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>, tensor<1x1x3x3xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>) {
  // (SCO-4)
  // expected-error @+1 {{'llm.attention' op expected 'window' to be positive, but got 0}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32, window = 0 : i32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>) {
  // (SCO-5)
  // expected-error @+1 {{'llm.attention' op expected 'num_sinks' not to be negative, but got -1}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32, window = 4 : i32, num_sinks = -1 : i32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

func.func @f(%q: tensor<2x3x4x64xf32>, %k: tensor<2x9x2x64xf32>, %v: tensor<2x9x2x64xf32>) {
  // (SCO-6)
  // expected-error @+1 {{'llm.attention' op expected 'num_sinks' only with a 'window', but got 4}}
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.125 : f32, num_sinks = 4 : i32} : (tensor<2x3x4x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x64xf32>) -> tensor<2x3x4x64xf32>
  return
}
