// What changes nothing is not done; one function a fold, and one for what must stay.
// RUN: llmir-opt %s --canonicalize --split-input-file | FileCheck %s

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
llm.weight @w : tensor<32x32xf32>
llm.weight @router : tensor<4x32xf32>
llm.weight @gate : tensor<128x32xf32>
llm.weight @down : tensor<128x32xf32>

// CHECK-LABEL: func.func @one_shard
// CHECK-SAME: (%[[X:.*]]: tensor<?x32xf32>
// CHECK-NEXT: %[[Y:.*]] = llm.linear %[[X]], @w activations(i8) residual(%[[X]]) : (tensor<?x32xf32>, tensor<?x32xf32>) -> tensor<?x32xf32>
// CHECK-NEXT: %[[Z:.*]] = llm.linear %[[Y]], @w
// CHECK-NEXT: llm.sharded_linear %[[Z]], @w, %{{.*}} split(output) shards(2)
func.func @one_shard(%x: tensor<?x32xf32>, %c: !llm.step_context) -> tensor<?x16xf32> {
  %0 = llm.sharded_linear %x, @w, %c split(input) shards(1) activations(i8) residual(%x) : (tensor<?x32xf32>, !llm.step_context, tensor<?x32xf32>) -> tensor<?x32xf32>
  %1 = llm.sharded_linear %0, @w, %c split(output) shards(1) : (tensor<?x32xf32>, !llm.step_context) -> tensor<?x32xf32>
  %2 = llm.sharded_linear %1, @w, %c split(output) shards(2) activations(f32) : (tensor<?x32xf32>, !llm.step_context) -> tensor<?x16xf32>
  return %2 : tensor<?x16xf32>
}

// CHECK-LABEL: func.func @one_rank
// CHECK-SAME: (%[[X:.*]]: tensor<4x32xf32>
// CHECK-NEXT: return %[[X]]
func.func @one_rank(%x: tensor<4x32xf32>, %c: !llm.step_context) -> tensor<4x32xf32> {
  %0 = llm.all_reduce %x, %c shards(1) : tensor<4x32xf32>
  %1 = llm.all_gather %0, %c dim(1) shards(1) : tensor<4x32xf32> -> tensor<4x32xf32>
  %2 = llm.reduce_scatter %1, %c dim(0) shards(1) : tensor<4x32xf32> -> tensor<4x32xf32>
  return %2 : tensor<4x32xf32>
}

// CHECK-LABEL: func.func @default_activations
// CHECK-NOT: activations(f32)
// CHECK: llm.linear %{{.*}}, @w activations(bf16)
// CHECK: return
func.func @default_activations(%x: tensor<?x32xf32>, %rows: tensor<?xi32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  %0 = llm.linear %x, @w activations(f32) : (tensor<?x32xf32>) -> tensor<?x32xf32>
  %1 = llm.moe %0 router(@router) gate(@gate) up(@gate) down(@down) experts(1 of 4) activations(f32) : tensor<?x32xf32>
  %2 = llm.logits %1, %rows, @w activations(f32) : (tensor<?x32xf32>, tensor<?xi32>) -> tensor<?x32xf32>
  %3 = llm.linear %x, @w activations(bf16) : (tensor<?x32xf32>) -> tensor<?x32xf32>
  return %2, %3 : tensor<?x32xf32>, tensor<?x32xf32>
}

// CHECK-LABEL: func.func @expert_scale
// CHECK: llm.moe {{.*}} experts(2 of 4) :
// CHECK: llm.moe {{.*}} experts(2 of 4) scale({{.*}}) :
func.func @expert_scale(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
  %0 = llm.moe %x router(@router) gate(@gate) up(@gate) down(@down) experts(2 of 4) scale(1.0) : tensor<?x32xf32>
  %1 = llm.moe %0 router(@router) gate(@gate) up(@gate) down(@down) experts(2 of 4) scale(2.0) : tensor<?x32xf32>
  return %1 : tensor<?x32xf32>
}

// Neutral settings of a choice; one token to choose from leaves nothing to chance.
// CHECK-LABEL: func.func @sample
// CHECK: llm.sample %{{.*}} uniforms(%{{.*}}) : (tensor<?x100xf32>, tensor<?xf32>)
// CHECK: llm.sample %{{.*}} uniforms(%{{.*}}) {min_p = {{.*}}, temperature = {{.*}}, top_k = 99 : i32, top_p = {{.*}}}
// CHECK: llm.sample %{{.*}} : (tensor<?x100xf32>) -> tensor<?xi32>
func.func @sample(%x: tensor<?x100xf32>, %u: tensor<?xf32>) -> (tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) {
  %0 = llm.sample %x uniforms(%u) {temperature = 1.0 : f32, top_k = 100 : i32, top_p = 1.0 : f32, min_p = 0.0 : f32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  %1 = llm.sample %x uniforms(%u) {temperature = 0.9 : f32, top_k = 99 : i32, top_p = 0.9 : f32, min_p = 0.1 : f32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  %2 = llm.sample %x uniforms(%u) {top_k = 1 : i32} : (tensor<?x100xf32>, tensor<?xf32>) -> tensor<?xi32>
  return %0, %1, %2 : tensor<?xi32>, tensor<?xi32>, tensor<?xi32>
}

// Codes that were dequantised are not rounded again; numbers that were quantised stay rounded.
// CHECK-LABEL: func.func @codes
// CHECK-SAME: (%[[X:.*]]: tensor<8x32xf32>)
// CHECK-NEXT: %[[Q:.*]] = llm.quantize %[[X]]
// CHECK-NEXT: %[[D:.*]] = llm.dequantize %[[Q]]
// CHECK-NEXT: return %[[Q]], %[[D]]
!codes = !llm.quantized_tensor<i8, [8, 32], true, true, 1, 32, 8>
func.func @codes(%x: tensor<8x32xf32>) -> (!codes, tensor<8x32xf32>) {
  %0 = llm.quantize %x : tensor<8x32xf32> -> !codes
  %1 = llm.dequantize %0 : !codes -> tensor<8x32xf32>
  %2 = llm.quantize %1 : tensor<8x32xf32> -> !codes
  %3 = llm.dequantize %2 : !codes -> tensor<8x32xf32>
  return %2, %3 : !codes, tensor<8x32xf32>
}

// CHECK-LABEL: func.func @nobody
// CHECK-SAME: (%[[KV:.*]]: !kv
// CHECK-NEXT: %[[NONE:.*]] = arith.constant dense<> : tensor<0x3xi32>
// CHECK-NEXT: return %[[KV]], %[[NONE]]
func.func @nobody(%kv: !kv, %k: tensor<0x3x2x16xf16>, %s: tensor<0xi32>, %r: tensor<0x2x16xf16>) -> (!kv, tensor<0x3xi32>) {
  %kv1, %b = llm.append_kv %kv, %k, %k, %s {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<0x3x2x16xf16>, tensor<0x3x2x16xf16>, tensor<0xi32>) -> (!kv, tensor<0x3xi32>)
  %kv2 = llm.store_kv %kv1, %r, %r, %s : (!kv, tensor<0x2x16xf16>, tensor<0x2x16xf16>, tensor<0xi32>) -> !kv
  %kv3 = llm.fork %kv2, %s, %s : (!kv, tensor<0xi32>, tensor<0xi32>) -> !kv
  %kv4 = llm.commit %kv3, %s, %s, %s : (!kv, tensor<0xi32>, tensor<0xi32>, tensor<0xi32>) -> !kv
  %kv5 = llm.rollback %kv4, %s, %s : (!kv, tensor<0xi32>, tensor<0xi32>) -> !kv
  %kv6 = llm.free_sequences %kv5, %s : (!kv, tensor<0xi32>) -> !kv
  return %kv6, %b : !kv, tensor<0x3xi32>
}

// An append of no tokens makes its sequences known.
// CHECK-LABEL: func.func @no_tokens
// CHECK: llm.append_kv
func.func @no_tokens(%kv: !kv, %k: tensor<2x0x2x16xf16>, %s: tensor<2xi32>) -> !kv {
  %kv1, %b = llm.append_kv %kv, %k, %k, %s {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<2x0x2x16xf16>, tensor<2x0x2x16xf16>, tensor<2xi32>) -> (!kv, tensor<2x0xi32>)
  return %kv1 : !kv
}

// A layer that is known is an attribute; one that the cache does not have is left to whoever runs.
// CHECK-LABEL: func.func @layer
// CHECK: llm.store_kv %{{.*}} {layer = 3 : i32} : (!kv, tensor<?x2x16xf16>, tensor<?x2x16xf16>, tensor<?xi32>) -> !kv
// CHECK: llm.append_kv %{{.*}} {block_size = 16 : i32, max_seq_len = 512 : i32, layer = 3 : i32}
// CHECK: llm.lookup_kv %{{.*}} {layer = 3 : i32}
// CHECK: llm.paged_attention {{.*}} {num_heads = 2 : i32, head_dim = 16 : i32, scale = 2.500000e-01 : f32, layer = 3 : i32}
// CHECK: llm.store_kv %{{.*}} layer(%c4) :
func.func @layer(%kv: !kv, %k: tensor<?x2x16xf16>, %slots: tensor<?xi32>, %p: tensor<2x1x2x16xf16>, %s: tensor<2xi32>, %t: tensor<2x4xi32>) -> (!kv, tensor<2x?x2x16xf16>, tensor<2x1x2x16xf16>) {
  %three = arith.constant 3 : index
  %four = arith.constant 4 : index
  %kv1 = llm.store_kv %kv, %k, %k, %slots layer(%three) : (!kv, tensor<?x2x16xf16>, tensor<?x2x16xf16>, tensor<?xi32>, index) -> !kv
  %kv2, %b = llm.append_kv %kv1, %p, %p, %s layer(%three) {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<2x1x2x16xf16>, tensor<2x1x2x16xf16>, tensor<2xi32>, index) -> (!kv, tensor<2x1xi32>)
  %keys, %values = llm.lookup_kv %kv2, %t, %s layer(%three) : (!kv, tensor<2x4xi32>, tensor<2xi32>, index) -> (tensor<2x?x2x16xf16>, tensor<2x?x2x16xf16>)
  %o = llm.paged_attention %p, %kv2, %t, %s layer(%three) {num_heads = 2 : i32, head_dim = 16 : i32, scale = 0.25 : f32, alibi_slopes = array<f32: 0.0, 0.0>} : (tensor<2x1x2x16xf16>, !kv, tensor<2x4xi32>, tensor<2xi32>, index) -> tensor<2x1x2x16xf16>
  %kv3 = llm.store_kv %kv2, %k, %k, %slots layer(%four) : (!kv, tensor<?x2x16xf16>, tensor<?x2x16xf16>, tensor<?xi32>, index) -> !kv
  return %kv3, %keys, %o : !kv, tensor<2x?x2x16xf16>, tensor<2x1x2x16xf16>
}

// CHECK-LABEL: func.func @level_slopes
// CHECK: llm.attention %{{.*}} {num_heads = 2 : i32, scale = 2.500000e-01 : f32, window = 4 : i32} :
// CHECK: llm.attention %{{.*}} {num_heads = 2 : i32, scale = 2.500000e-01 : f32, alibi_slopes = array<f32: 0.000000e+00, 5.000000e-01>} :
func.func @level_slopes(%x: tensor<2x8x2x16xf16>) -> tensor<2x8x2x16xf16> {
  %0 = llm.attention %x, %x, %x {num_heads = 2 : i32, scale = 0.25 : f32, window = 4 : i32, num_sinks = 0 : i32, alibi_slopes = array<f32: 0.0, 0.0>} : (tensor<2x8x2x16xf16>, tensor<2x8x2x16xf16>, tensor<2x8x2x16xf16>) -> tensor<2x8x2x16xf16>
  %1 = llm.attention %0, %x, %x {num_heads = 2 : i32, scale = 0.25 : f32, alibi_slopes = array<f32: 0.0, 0.5>} : (tensor<2x8x2x16xf16>, tensor<2x8x2x16xf16>, tensor<2x8x2x16xf16>) -> tensor<2x8x2x16xf16>
  return %1 : tensor<2x8x2x16xf16>
}

// -----

// On buffers, what an op reads may have changed since, and a result is a place of its own.
!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
!codes = !llm.quantized_tensor<i8, [8, 32], true, true, 1, 32, 8>

// CHECK-LABEL: func.func @buffers
// CHECK: llm.all_reduce
// CHECK: llm.dequantize
// CHECK: llm.quantize
// CHECK: llm.sequence_lengths
// CHECK: llm.rollback
func.func @buffers(%x: memref<4x32xf32>, %c: !llm.step_context, %q: !codes, %kv: !kv, %s: memref<2xi32>, %zero: f32, %i: index) -> (memref<4x32xf32>, !codes, !kv) {
  %0 = llm.all_reduce %x, %c shards(1) : memref<4x32xf32>
  %1 = llm.dequantize %q : !codes -> memref<8x32xf32>
  memref.store %zero, %1[%i, %i] : memref<8x32xf32>
  %2 = llm.quantize %1 : memref<8x32xf32> -> !codes
  %3 = llm.sequence_lengths %kv, %s : (!kv, memref<2xi32>) -> memref<2xi32>
  %4 = llm.rollback %kv, %s, %3 : (!kv, memref<2xi32>, memref<2xi32>) -> !kv
  return %0, %2, %4 : memref<4x32xf32>, !codes, !kv
}
