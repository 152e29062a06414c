// KV cache ops that are refused, one case a message; the ids are those of docs/Dialect.md.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x64xf32>, %v: tensor<?x16x64xf32>, %s: tensor<?xi32>) {
  // (KV-1)
  // expected-error @+1 {{'llm.store_kv' op expected 'layer' to be in 0..11, the cache's layers, but got 12}}
  %0 = llm.store_kv %kv, %k, %v, %s {layer = 12 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-1)
  // expected-error @+1 {{'llm.append_kv' op expected 'layer' to be in 0..11, the cache's layers, but got -1}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32, layer = -1 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x64xf32>, %v: tensor<?x16x64xf32>, %s: tensor<?xi32>, %i: index) {
  // (KV-2)
  // expected-error @+1 {{'llm.store_kv' op expected the layer as an attribute or as an operand, but got both}}
  %0 = llm.store_kv %kv, %k, %v, %s layer(%i) {layer = 1 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, index) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-3)
  // expected-error @+1 {{'llm.append_kv' op expected 'values' to have the rank of 'keys', 4, but got 3}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x64xf32>, %v: tensor<?x16x64xf16>, %s: tensor<?xi32>) {
  // (KV-4)
  // expected-error @+1 {{'llm.store_kv' op expected 'values' to have the element type of 'keys', 'f32', but got 'f16'}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf16>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x2x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-5)
  // expected-error @+1 {{'llm.append_kv' op expected dimension 1 of 'values' to be that of 'keys', 1, but got 2}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x2x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x8x64xf32>, %v: tensor<?x16x64xf32>, %s: tensor<?xi32>) {
  // (KV-6)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 1 of 'keys' to be the cache's number of KV heads 16, but got 8}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<?x8x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x8x64xf16>, %s: tensor<2xi32>) {
  // (KV-6)
  // expected-error @+1 {{'llm.append_kv' op expected dimension 2 of 'values' to be the cache's number of KV heads 16, but got 8}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x8x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x128xf32>, %v: tensor<?x16x128xf32>, %s: tensor<?xi32>) {
  // (KV-7)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 2 of 'keys' to be the cache's head size 64, but got 128}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<?x16x128xf32>, tensor<?x16x128xf32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x64xf32>, %v: tensor<?x16x128xf32>, %s: tensor<?xi32>) {
  // (KV-7)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 2 of 'values' to be the cache's value head size 64, but got 128}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<?x16x64xf32>, tensor<?x16x128xf32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-8)
  // expected-error @+1 {{'llm.append_kv' op expected 'block_size' to be the cache's, 16, but got 32}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 32 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-9)
  // expected-error @+1 {{'llm.append_kv' op expected 'max_seq_len' to be the cache's, 4096, but got 2048}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 2048 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>, %s: tensor<3xi32>) {
  // (KV-10)
  // expected-error @+1 {{'llm.append_kv' op expected dimension 0 of 'seq_ids' to be the batch size of 'keys', 2, but got 3}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<3xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<5x16x64xf32>, %v: tensor<5x16x64xf32>, %s: tensor<4xi32>) {
  // (KV-11)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 0 of 'slots' to be the number of tokens of 'keys', 5, but got 4}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<5x16x64xf32>, tensor<5x16x64xf32>, tensor<4xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %t: tensor<3x128xi32>, %l: tensor<2xi32>) {
  // (KV-12)
  // expected-error @+1 {{'llm.lookup_kv' op expected dimension 0 of 'block_table' to be the number of sequences 2, but got 3}}
  %0:2 = llm.lookup_kv %kv, %t, %l : (!kv, tensor<3x128xi32>, tensor<2xi32>) -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (KV-13)
  // expected-error @+1 {{'llm.lookup_kv' op expected dimension 0 of 'keys' to be the number of sequences 2, but got 4}}
  %0:2 = llm.lookup_kv %kv, %t, %l : (!kv, tensor<2x128xi32>, tensor<2xi32>) -> (tensor<4x?x16x64xf16>, tensor<4x?x16x64xf16>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %t: tensor<2x128xi32>, %l: tensor<2xi32>) {
  // (KV-14)
  // expected-error @+1 {{'llm.lookup_kv' op expected results of the cache's element type 'f16', but got 'f32'}}
  %0:2 = llm.lookup_kv %kv, %t, %l : (!kv, tensor<2x128xi32>, tensor<2xi32>) -> (tensor<2x?x16x64xf32>, tensor<2x?x16x64xf32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-15)
  // expected-error @+1 {{'llm.block_table' op expected dimension 0 of 'table' to be the number of sequences 2, but got 3}}
  %0 = llm.block_table %kv, %s : (!kv, tensor<2xi32>) -> tensor<3x128xi32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-16)
  // expected-error @+1 {{'llm.block_table' op expected the table to have 1 to 256 columns, the most blocks of a sequence, but got 257}}
  %0 = llm.block_table %kv, %s : (!kv, tensor<2xi32>) -> tensor<2x257xi32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>, %s: tensor<2xi32>) {
  // (KV-17)
  // expected-error @+2 {{failed to infer returned types}}
  // expected-error @+1 {{'llm.append_kv' op inferred type(s) '!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>', 'tensor<2x1xi32>' are incompatible with return type(s) of operation}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x2xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>) {
  // (KV-18)
  // expected-error @+1 {{'llm.store_kv' op failed to verify that all of {cache, new_cache} have same type}}
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !llm.paged_kv_cache<f16, 12, 16, 64, 32, 4096>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf64>, %v: tensor<2x1x16x64xf16>, %s: tensor<2xi32>) {
  // expected-error @+1 {{'llm.append_kv' op operand #1 must be 3D/4D tensor of 32-bit float or 16-bit float or bfloat16 type values or 3D/4D memref of 32-bit float or 16-bit float or bfloat16 type values, but got 'tensor<2x1x16x64xf64>'}}
  %0:2 = llm.append_kv %kv, %k, %v, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<2x1x16x64xf64>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-19)
  // expected-error @+2 {{'llm.sequence_lengths' op inferred type(s) 'tensor<2xi32>' are incompatible with return type(s) of operation 'tensor<3xi32>'}}
  // expected-error @+1 {{failed to infer returned types}}
  %0 = llm.sequence_lengths %kv, %s : (!kv, tensor<2xi32>) -> tensor<3xi32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
!other = !llm.paged_kv_cache<f32, 2, 2, 8, 4, 64>
func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-20)
  // expected-error @+1 {{'llm.free_sequences' op failed to verify that all of {cache, new_cache} have same type}}
  %0 = llm.free_sequences %kv, %s : (!kv, tensor<2xi32>) -> !other
  return
}

// -----

// Keys and values fused into one vector, for a cache that has them apart (LMCache #4463).
!kv = !llm.paged_kv_cache<f16, 1, 2, 64, 16, 512>
func.func @f(%kv: !kv, %k: tensor<?x2x128xf16>, %v: tensor<?x2x64xf16>, %s: tensor<?xi32>) {
  // (KV-7)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 2 of 'keys' to be the cache's head size 64, but got 128}}
  %0 = llm.store_kv %kv, %k, %v, %s : (!kv, tensor<?x2x128xf16>, tensor<?x2x64xf16>, tensor<?xi32>) -> !kv
  return
}

// -----

// A latent page, which holds both in one, read as separate keys and values (LMCache #4463).
!kv = !llm.paged_kv_cache<f16, 1, 1, 576, 16, 512, value_head_dim = 512>
func.func @f(%kv: !kv, %t: tensor<2x32xi32>, %l: tensor<2xi32>) {
  // (KV-7)
  // expected-error @+1 {{'llm.lookup_kv' op expected dimension 3 of 'keys' to be the cache's head size 576, but got 64}}
  %k, %v = llm.lookup_kv %kv, %t, %l : (!kv, tensor<2x32xi32>, tensor<2xi32>) -> (tensor<2x?x1x64xf16>, tensor<2x?x1x512xf16>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %s: memref<?xi32>) {
  // (BUF-1)
  // expected-error @+1 {{'llm.store_kv' op expected tensors or buffers, not both, but got 'tensor<?x2x8xf32>' and 'memref<?xi32>'}}
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, memref<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %k: tensor<2x3x16x64xf32>, %s: tensor<3xi32>) {
  // (KV-11)
  // expected-error @+1 {{'llm.store_kv' op expected dimension 0 of 'slots' to be the number of tokens of 'keys', 6, but got 3}}
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<2x3x16x64xf32>, tensor<2x3x16x64xf32>, tensor<3xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-21)
  // expected-error @+2 {{op failed to infer returned types}}
  // expected-error @+1 {{'llm.reserve_kv' op inferred type(s) '!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>', 'tensor<6xi32>', 'tensor<2x3xi32>' are incompatible with return type(s) of operation '!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>', 'tensor<2xi32>', 'tensor<2x3xi32>'}}
  %0:3 = llm.reserve_kv %kv, %s {tokens = 3 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<2xi32>, tensor<2x3xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-22)
  // expected-error @+1 {{'llm.reserve_kv' op expected the number of tokens as an attribute or as an operand, but got neither}}
  %0:3 = llm.reserve_kv %kv, %s : (!kv, tensor<2xi32>) -> (!kv, tensor<?xi32>, tensor<2x?xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>, %n: index) {
  // (KV-22)
  // expected-error @+1 {{'llm.reserve_kv' op expected the number of tokens as an attribute or as an operand, but got both}}
  %0:3 = llm.reserve_kv %kv, %s tokens(%n) {tokens = 1 : i32} : (!kv, tensor<2xi32>, index) -> (!kv, tensor<2xi32>, tensor<2x1xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %s: tensor<2xi32>) {
  // (KV-23)
  // expected-error @+1 {{'llm.reserve_kv' op expected 'tokens' not to be negative, but got -1}}
  %0:3 = llm.reserve_kv %kv, %s {tokens = -1 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<?xi32>, tensor<2x?xi32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (KV-24)
  // expected-error @+2 {{op failed to infer returned types}}
  // expected-error @+1 {{'llm.rope_store_kv' op inferred type(s) '!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>' are incompatible with return type(s) of operation '!llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>', 'tensor<?x32x64xf32>'}}
  %0:2 = llm.rope_store_kv %kv, %k, %k, %s positions(%p) theta(1.0e+4) rotary_dim(64) half : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?xi32>) -> (!kv, tensor<?x32x64xf32>)
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (KV-1)
  // expected-error @+1 {{'llm.rope_store_kv' op expected 'layer' to be in 0..11, the cache's layers, but got 12}}
  %0 = llm.rope_store_kv %kv, %k, %k, %s positions(%p) theta(1.0e+4) rotary_dim(64) half {layer = 12 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (KV-6)
  // expected-error @+1 {{'llm.rope_store_kv' op expected dimension 1 of 'keys' to be the cache's number of KV heads 16, but got 8}}
  %0 = llm.rope_store_kv %kv, %k8, %k8, %s positions(%p) theta(1.0e+4) rotary_dim(64) half : (!kv, tensor<?x8x64xf32>, tensor<?x8x64xf32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (KV-11)
  // expected-error @+1 {{'llm.rope_store_kv' op expected dimension 0 of 'slots' to be the number of tokens of 'keys', 5, but got 4}}
  %0 = llm.rope_store_kv %kv, %k5, %k5, %s4 positions(%p) theta(1.0e+4) rotary_dim(64) half : (!kv, tensor<5x16x64xf32>, tensor<5x16x64xf32>, tensor<4xi32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (ROPE-4)
  // expected-error @+1 {{'llm.rope_store_kv' op expected 'rotary_dim' to be at most the head size 64, but got 128}}
  %0 = llm.rope_store_kv %kv, %k, %k, %s positions(%p) theta(1.0e+4) rotary_dim(128) half : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

func.func @f(%kv: !kv, %q: tensor<?x32x64xf32>, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>, %p: tensor<?xi32>, %k5: tensor<5x16x64xf32>, %s4: tensor<4xi32>, %p4: tensor<4xi32>, %k8: tensor<?x8x64xf32>) {
  // (ROPE-5)
  // expected-error @+1 {{'llm.rope_store_kv' op expected dimension 0 of 'keys' to be the number of positions 4, but got 5}}
  %0 = llm.rope_store_kv %kv, %k5, %k5, %s positions(%p4) theta(1.0e+4) rotary_dim(64) half : (!kv, tensor<5x16x64xf32>, tensor<5x16x64xf32>, tensor<?xi32>, tensor<4xi32>) -> !kv
  return
}
