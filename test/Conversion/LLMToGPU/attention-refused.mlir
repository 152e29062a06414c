// Attention that the kernels do not compute yet: refused, not computed without it.
// RUN: llmir-opt %s --convert-llm-to-gpu --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, window = 128>
!q = tensor<2x1x2x64xf16>
func.func @window(%q: !q, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>) -> !q {
  // expected-error @+1 {{'llm.paged_attention' op expected no window on a GPU, whose kernel has none, but got one}}
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!q, !kv, tensor<2x?xi32>, tensor<2xi32>) -> !q
  return %o : !q
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!q = tensor<2x1x2x64xf16>
func.func @soft_cap(%q: !q, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>) -> !q {
  // expected-error @+1 {{expected no soft_cap on a GPU}}
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32, soft_cap = 30.0 : f32}
      : (!q, !kv, tensor<2x?xi32>, tensor<2xi32>) -> !q
  return %o : !q
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!q = tensor<2x1x2x64xf16>
func.func @alibi(%q: !q, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>) -> !q {
  // expected-error @+1 {{expected no alibi_slopes on a GPU}}
  %o = llm.paged_attention %q, %kv, %table, %lens {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32, alibi_slopes = array<f32: 0.5, 0.25>}
      : (!q, !kv, tensor<2x?xi32>, tensor<2xi32>) -> !q
  return %o : !q
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!q = tensor<2x1x2x64xf16>
func.func @sink_logits(%q: !q, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>, %sinks: tensor<2xf32>) -> !q {
  // expected-error @+1 {{expected no sink_logits on a GPU}}
  %o = llm.paged_attention %q, %kv, %table, %lens sink_logits(%sinks) {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!q, !kv, tensor<2x?xi32>, tensor<2xi32>, tensor<2xf32>) -> !q
  return %o : !q
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
!q = tensor<?x2x64xf16>
func.func @tree_mask(%q: !q, %kv: !kv, %table: tensor<2x?xi32>, %lens: tensor<2xi32>, %cu: tensor<3xi32>, %tree: tensor<?xi64>) -> !q {
  // expected-error @+1 {{expected no tree_mask on a GPU}}
  %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) tree_mask(%tree) {num_heads = 2 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
      : (!q, !kv, tensor<2x?xi32>, tensor<2xi32>, tensor<3xi32>, tensor<?xi64>) -> !q
  return %o : !q
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096, key_storage = i4, value_storage = i4, key_scales = token, value_scales = token>
func.func @int4(%kv0: !kv, %k: tensor<?x2x64xf16>, %slots: tensor<?xi32>) -> !kv {
  // expected-error @+1 {{'llm.store_kv' op expected a cache of f32, f16 or bf16 for a GPU, but got}}
  %kv1 = llm.store_kv %kv0, %k, %k, %slots : (!kv, tensor<?x2x64xf16>, tensor<?x2x64xf16>, tensor<?xi32>) -> !kv
  return %kv1 : !kv
}
