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
  // expected-error @+1 {{'llm.paged_attention' op operand #0 must be 3D/4D tensor of 32-bit float or 16-bit float or bfloat16 type values or 3D/4D memref of 32-bit float or 16-bit float or bfloat16 type values, but got 'tensor<16x64xf16>'}}
  %0 = llm.paged_attention %q, %kv, %t, %l {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>) -> tensor<16x64xf16>
  return
}

// -----

// A sliding-window layer whose cache keeps another window than its kernel expects (vLLM #47648).
!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048, window = 1024>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (ATT-12)
  // expected-error @+1 {{'llm.paged_attention' op expected 'window' to be the cache's, 1024, but got 512}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, window = 512 : i32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

// The same for a cache that keeps everything.
!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (ATT-12)
  // expected-error @+1 {{'llm.paged_attention' op expected 'window' to be the cache's, 0, but got 512}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, window = 512 : i32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048, window = 1024, sinks = 4>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (ATT-13)
  // expected-error @+1 {{'llm.paged_attention' op expected 'num_sinks' to be the cache's, 4, but got 0}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, num_sinks = 0 : i32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<2x3x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<6xi64>) {
  // (ATT-14)
  // expected-error @+1 {{'llm.paged_attention' op expected 'tree_mask' only with a ragged query of rank 3}}
  %0 = llm.paged_attention %q, %kv, %t, %l tree_mask(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<6xi64>) -> tensor<2x3x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<2x3x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<6xi32>) {
  // (ATT-14)
  // expected-error @+1 {{'llm.paged_attention' op expected 'positions' only with a ragged query of rank 3}}
  %0 = llm.paged_attention %q, %kv, %t, %l positions(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<6xi32>) -> tensor<2x3x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<7xi64>) {
  // (ATT-15)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'tree_mask' to be the number of tokens, 6, but got 7}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) tree_mask(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>, tensor<7xi64>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<5xi32>) {
  // (ATT-15)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'positions' to be the number of tokens, 6, but got 5}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) positions(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>, tensor<5xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048, window = 1024>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<6xi64>) {
  // (ATT-16)
  // expected-error @+1 {{'llm.paged_attention' op expected 'positions' with a 'tree_mask' and a window, since places in the cache are not positions}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) tree_mask(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>, tensor<6xi64>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %m: tensor<6xi64>) {
  // (ATT-16)
  // expected-error @+1 {{'llm.paged_attention' op expected 'positions' with a 'tree_mask' and 'alibi_slopes', since places in the cache are not positions}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) tree_mask(%m) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, alibi_slopes = array<f32: 1.0, 0.5, 0.25, 0.125>} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>, tensor<6xi64>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>, %s: tensor<1xf32>) {
  // (SCO-1)
  // expected-error @+1 {{'llm.paged_attention' op expected dimension 0 of 'sink_logits' to be the number of query heads, 4, but got 1}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) sink_logits(%s) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>, tensor<1xf32>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (SCO-2)
  // expected-error @+1 {{'llm.paged_attention' op expected 'soft_cap' to be positive, but got 0.000000e+00}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, soft_cap = 0.0 : f32} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 4, 64, 16, 2048>

func.func @f(%q: tensor<6x4x64xf32>, %kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>, %cu: tensor<3xi32>) {
  // (SCO-3)
  // expected-error @+1 {{'llm.paged_attention' op expected 'alibi_slopes' to have one slope for each of 4 query heads, but got 2}}
  %0 = llm.paged_attention %q, %kv, %t, %l cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, alibi_slopes = array<f32: 1.0, 0.5>} : (tensor<6x4x64xf32>, !kv, tensor<2x128xi32>, tensor<2xi32>, tensor<3xi32>) -> tensor<6x4x64xf32>
  return
}

// -----

// A step's function for one layout does not take a cache of another.
!kv = !llm.paged_kv_cache<bf16, 12, 4, 64, 16, 2048>
!pairs = !llm.paged_kv_cache<bf16, 12, 4, 64, 16, 2048, layout = pairs>
func.func private @layer(!pairs)
func.func @f(%kv: !kv) {
  // expected-error @+1 {{'func.call' op operand type mismatch: expected operand type '!llm.paged_kv_cache<bf16, 12, 4, 64, 16, 2048, layout = pairs>', but provided '!llm.paged_kv_cache<bf16, 12, 4, 64, 16, 2048>' for operand number 0}}
  call @layer(%kv) : (!kv) -> ()
  return
}
