// What ops cost, by hand: T tokens, S sequences, R rows, C tokens of contexts, P pairs.
// RUN: llmir-opt %s --llm-report-costs --verify-diagnostics
// RUN: llmir-opt %s --llm-report-costs="sequences=2 tokens=2 context=100" 2>&1 | FileCheck %s --check-prefix=SUM
// RUN: not llmir-opt %s --llm-report-costs="sequences=2 tokens=3 context=100" 2>&1 | FileCheck %s --check-prefix=UNEVEN

// One decoded token for each of 2 sequences of 100 tokens.
// SUM: remark: all ops read {{[0-9]+}} bytes, write {{[0-9]+}} bytes, compute {{[0-9]+}} flops, send 256 bytes
// UNEVEN: error: expected as many of 'tokens' for each of 2 sequences, at most 'context' = 100 each, but got 3

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
// 2 heads of 16 bytes and 16/2 bytes, and 4 + 2 scales of 2 bytes.
!kv8 = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512, key_storage = i8, value_storage = i4, key_scales = group, key_scale_group = 4, value_scales = group, value_scale_group = 8, scale = f16, window = 32, sinks = 4>

llm.weight @embd : !llm.quantized_tensor<i8, [100, 32], true, true, 1, 32, 8, scale = f16>
llm.weight @w : !llm.quantized_tensor<i4, [64, 32], false, true, 1, 32, 4, scale = f16, zero_point = f16>
llm.weight @n : tensor<32xf32>
llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<256x32xf16>
llm.weight @down : tensor<128x64xf16>

func.func @step(%c: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>, %cu: tensor<?xi32>, %lens: tensor<?xi32>, %kv: !kv, %kv8: !kv8, %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %rows: tensor<?xi32>, %k: tensor<?x2x16xf32>) -> (tensor<?x100xf32>, !kv, !kv8) {
  // A row of 32 codes and a scale.
  // expected-remark @+1 {{reads 38 T bytes, writes 128 T bytes, computes 32 T flops}}
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x32xf32>
  // 64 rows of 16 bytes, a scale and a minimum, and the norm; 32 features in, 64 out.
  // expected-remark @+1 {{reads 1408 + 128 T bytes, writes 256 T bytes, computes 4224 T flops}}
  %q = llm.linear %x, @w norm(@n, 1.0e-5) : (tensor<?x32xf32>) -> tensor<?x4x16xf32>
  // expected-remark @+1 {{reads 260 T bytes, writes 256 T bytes, computes 192 T flops}}
  %r = llm.rope %q positions(%positions) theta(1.0e+4) rotary_dim(16) half : tensor<?x4x16xf32>, tensor<?xi32>
  // Keys and values in; 2 heads of 16 + 16 halves out.
  // expected-remark @+1 {{reads 260 T bytes, writes 128 T bytes, computes 128 T flops}}
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>) -> !kv
  // 2 heads of 16 bytes, 8 bytes and 6 scales out.
  // expected-remark @+1 {{reads 260 T bytes, writes 72 T bytes, computes 128 T flops}}
  %2 = llm.store_kv %kv8, %k, %k, %slots : (!kv8, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>) -> !kv8
  // Each token of a context once; 4 heads of 2 x 32 + 4 operations a pair.
  // expected-remark @+1 {{reads 256 T + 128 C bytes, writes 256 T bytes, computes 272 P flops}}
  %a = llm.paged_attention %r, %1, %table, %lens cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32} : (tensor<?x4x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  // At most the window and its sinks.
  // expected-remark @+1 {{reads 256 T + 2592 S bytes, writes 256 T bytes, computes 9792 T flops}}
  %b = llm.paged_attention %r, %2, %table, %lens cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32} : (tensor<?x4x16xf32>, !kv8, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  // The router once, and 2 of 4 experts a token: 3 matrices of 64 x 32 halves each.
  // expected-remark @+1 {{reads 512 + 24704 T bytes, writes 128 T bytes, computes 24960 T flops}}
  %m = llm.moe %x router(@router) gate(@gate) up(@gate) down(@down) experts(2 of 4) : tensor<?x32xf32>
  // expected-remark @+1 {{reads 128 T bytes, writes 128 T bytes, computes 32 T flops, sends 128 T bytes}}
  %s = llm.all_reduce %m, %c : tensor<?x32xf32>
  // expected-remark @+1 {{reads 3400 + 132 R bytes, writes 400 R bytes, computes 6400 R flops}}
  %l = llm.logits %s, %rows, @embd : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x100xf32>
  return %l, %1, %2 : tensor<?x100xf32>, !kv, !kv8
}

// What is static is fixed.
func.func @static(%q: tensor<2x3x4x16xf32>, %k: tensor<2x5x4x16xf16>, %x: tensor<8x32xf32>) -> tensor<2x3x4x16xf32> {
  // expected-remark @+1 {{reads 4096 bytes, writes 1536 bytes, computes 8160 flops}}
  %0 = llm.attention %q, %k, %k {num_heads = 4 : i32, scale = 0.25 : f32} : (tensor<2x3x4x16xf32>, tensor<2x5x4x16xf16>, tensor<2x5x4x16xf16>) -> tensor<2x3x4x16xf32>
  // expected-remark @+1 {{reads 1024 bytes, writes 288 bytes, computes 768 flops}}
  %1 = llm.quantize %x : tensor<8x32xf32> -> !llm.quantized_tensor<i8, [8, 32], true, true, 1, 32, 8>
  return %0 : tensor<2x3x4x16xf32>
}

// Ids in; a slot and a block for each token out.
func.func @reserve(%kv: !kv, %seqs: tensor<?xi32>, %four: tensor<4xi32>, %n: index) -> !kv {
  // expected-remark @+1 {{reads 4 S bytes, writes 8 T bytes, computes 0 flops}}
  %0:3 = llm.reserve_kv %kv, %seqs tokens(%n) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<?xi32>, tensor<?x?xi32>)
  // expected-remark @+1 {{reads 16 bytes, writes 96 bytes, computes 0 flops}}
  %1:3 = llm.reserve_kv %0#0, %four {tokens = 3 : i32} : (!kv, tensor<4xi32>) -> (!kv, tensor<12xi32>, tensor<4x3xi32>)
  return %1#0 : !kv
}

// What the rotation reads, and what the store writes; 3 operations for each rotated element.
func.func @rope_store(%kv: !kv, %q: tensor<?x4x16xf32>, %k: tensor<?x2x16xf32>, %slots: tensor<?xi32>) -> !kv {
  // expected-remark @+1 {{reads 520 T bytes, writes 384 T bytes, computes 416 T flops}}
  %0, %r = llm.rope_store_kv %kv, %k, %k, %slots queries(%q) positions(%slots) theta(1.0e+4) rotary_dim(16) half : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>, tensor<?x4x16xf32>, tensor<?xi32>) -> (!kv, tensor<?x4x16xf32>)
  return %0 : !kv
}
