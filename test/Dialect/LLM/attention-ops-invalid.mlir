// Attention ops that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x6x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-1)
  // expected-error @+1 {{'llm.paged_attention' op expected 'num_heads' to be a multiple of the cache's 4 KV heads, but got 6}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 6 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x6x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x6x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-1)
  // expected-error @+1 {{'llm.paged_attention' op expected 'num_heads' to be a multiple of the cache's 4 KV heads, but got 0}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 0 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x128xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-2)
  // expected-error @+1 {{'llm.paged_attention' op expected 'head_dim' to be the cache's head size 64, but got 128}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 128 : i32, scale = 0.125 : f32} : (tensor<2x1x16x128xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-3)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 2 of 'query' to be 'num_heads', 8, but got 16}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 8 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<?x16x32xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (ATT-4)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 2 of 'query' to be 'head_dim', 64, but got 32}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<?x16x32xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<?x16x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<?x16x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-5)
  // expected-error @+1 {{'llm.paged_attention' op expected 'cu_lengths' for a ragged query of rank 3}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<?x16x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<?x16x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (ATT-6)
  // expected-error @+1 {{'llm.paged_attention' op expected no 'cu_lengths' for a padded query of rank 4}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<4x128xi32>, %l: tensor<2xi32>) {
  // (ATT-7)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'block_table' to be the number of sequences 2, but got 4}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<4x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<3x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-8)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'query' to be the number of sequences 2, but got 3}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<3x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<3x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<?x16x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<2xi32>) {
  // (ATT-9)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'cu_lengths' to be one more than the number of sequences, 3, but got 2}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<?x16x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<2xi32>) -> tensor<?x16x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (ATT-10)
  // expected-error @+2 {{failed to infer returned types}}
  // expected-error @+1 {{'llm.paged_attention' op inferred type(s) 'tensor<2x1x16x64xf16>' are incompatible with return type(s) of operation 'tensor<2x1x16x64xf32>'}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x300xi32>, %l: tensor<2xi32>) {
  // (ATT-11)
  // expected-error @+1 {{'llm.paged_attention' op expected the table to have 1 to 256 columns, the most blocks of a sequence, but got 300}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x300xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<2x1x16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (KV-1)
  // expected-error @+1 {{'llm.paged_attention' op expected 'layer' to be in 0..11, the cache's layers, but got 12}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 12 : i32} : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<2x1x16x64xf16>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 4096>

func.func @f(%q: tensor<16x64xf16>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // expected-error @+1 {{'llm.paged_attention' op operand #0 must be 3D/4D tensor of 32-bit float or 16-bit float or bfloat16 type values, but got 'tensor<16x64xf16>'}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<16x64xf16>
  return
}
