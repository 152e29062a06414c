// Heads, KV heads and feed-forward features are divided; everything else is left whole.
// RUN: llmir-opt %s --llm-shard-model=world-size=2 | FileCheck %s
// RUN: llmir-opt %s --llm-shard-model=world-size=1 | FileCheck %s --check-prefix=ALONE --implicit-check-not=sharded_linear
// RUN: llmir-opt %s --llm-shard-model=world-size=2 --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS
// RUN: llmir-opt %s --llm-shard-model=world-size=2 --llm-lower-sharded-linear='world-size=2 rank=1' | FileCheck %s --check-prefix=RANK

// STATISTICS-DAG: llm-shard-model: 7 projections-sharded
// STATISTICS-DAG: llm-shard-model: 1 caches-divided

// CHECK: !kv = !llm.paged_kv_cache<f16, 1, 1, 16, 16, 128>
// CHECK: llm.weight @q : tensor<64x64xf32>
// RANK: llm.weight @embd : tensor<96x64xf32>
// RANK: llm.weight @q shard<0, 2, 1> : tensor<32x64xf32>
// RANK: llm.weight @q_bias shard<0, 2, 1> : tensor<32xf32>
// RANK: llm.weight @k shard<0, 2, 1> : tensor<16x64xf32>
// RANK: llm.weight @o shard<1, 2, 1> : tensor<64x32xf32>
// RANK: llm.weight @down shard<1, 2, 1> : !llm.quantized_tensor<i8, [64, 32], true, true, 1, 32, 8, scale = f16>
!kv = !llm.paged_kv_cache<f16, 1, 2, 16, 16, 128>
llm.weight @embd : tensor<96x64xf32>
llm.weight @norm : tensor<64xf32>
llm.weight @q : tensor<64x64xf32>
llm.weight @q_bias : tensor<64xf32>
llm.weight @k : tensor<32x64xf32>
llm.weight @v : tensor<32x64xf32>
llm.weight @o : tensor<64x64xf32>
llm.weight @gate : tensor<64x64xf32>
llm.weight @up : tensor<64x64xf32>
llm.weight @down : !llm.quantized_tensor<i8, [64, 64], true, true, 1, 32, 8, scale = f16>

// CHECK: func.func @step(%[[CONTEXT:[a-z0-9]*]]: !llm.step_context, {{.*}}: !kv, {{.*}}) -> (tensor<?x96xf32>, !kv)
// ALONE: func.func @step(
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  // CHECK: %[[X:.*]] = llm.embedding {{.*}} -> tensor<?x64xf32>
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  // CHECK: %[[N:.*]] = llm.rms_norm %[[X]]
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  // CHECK: %[[Q:.*]] = llm.sharded_linear %[[N]], @q, %[[CONTEXT]] split(output) shards(2) bias(@q_bias) : {{.*}} -> tensor<?x2x16xf32>
  // RANK: llm.linear %{{.*}}, @q bias(@q_bias) : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %q = llm.linear %n, @q bias(@q_bias) : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  // CHECK: %[[K:.*]] = llm.sharded_linear %[[N]], @k, %[[CONTEXT]] split(output) shards(2) : {{.*}} -> tensor<?x1x16xf32>
  %k = llm.linear %n, @k : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  // CHECK: %[[V:.*]] = llm.sharded_linear %[[N]], @v, {{.*}} -> tensor<?x1x16xf32>
  %v = llm.linear %n, @v : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  // CHECK: %[[R:.*]]:2 = llm.rope %[[Q]], %[[K]] {{.*}} : tensor<?x2x16xf32>, tensor<?x1x16xf32>
  %r:2 = llm.rope %q, %k positions(%positions) theta(1.0e+4) rotary_dim(16) interleaved
      : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>
  // CHECK: llm.store_kv %{{.*}}, %[[R]]#1, %[[V]]
  %kv1 = llm.store_kv %kv, %r#1, %v, %slots
      : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>) -> !kv
  // CHECK: %[[A:.*]] = llm.paged_attention %[[R]]#0, {{.*}}num_heads = 2 : i32{{.*}} -> tensor<?x2x16xf32>
  %a = llm.paged_attention %r#0, %kv1, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32}
      : (tensor<?x4x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  // CHECK: %[[P:.*]] = llm.sharded_linear %[[A]], @o, %[[CONTEXT]] split(input) shards(2) : (tensor<?x2x16xf32>, !llm.step_context) -> tensor<?x64xf32>
  // CHECK: %[[Y:.*]] = arith.addf %[[X]], %[[P]]
  // RANK: %[[P:.*]] = llm.linear %{{.*}}, @o : (tensor<?x2x16xf32>) -> tensor<?x64xf32>
  // RANK: %[[S:.*]] = llm.all_reduce %[[P]], %{{.*}} shards(2) : tensor<?x64xf32>
  // RANK: arith.addf %{{.*}}, %[[S]]
  %p = llm.linear %a, @o : (tensor<?x4x16xf32>) -> tensor<?x64xf32>
  %y = arith.addf %x, %p : tensor<?x64xf32>
  // CHECK: %[[G:.*]] = llm.sharded_linear %[[Y]], @gate, {{.*}} -> tensor<?x32xf32>
  // CHECK: %[[U:.*]] = llm.sharded_linear %[[Y]], @up, {{.*}} -> tensor<?x32xf32>
  // CHECK: %[[H:.*]] = llm.swiglu %[[G]], %[[U]] : tensor<?x32xf32>
  %g = llm.linear %y, @gate : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %u = llm.linear %y, @up : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = llm.swiglu %g, %u : tensor<?x64xf32>
  // CHECK: llm.sharded_linear %[[H]], @down, %[[CONTEXT]] split(input) shards(2) residual(%[[Y]])
  %z = llm.linear %h, @down residual(%y) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  // CHECK: llm.logits {{.*}} -> tensor<?x96xf32>
  %logits = llm.logits %z, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv1 : tensor<?x96xf32>, !kv
}

// Not a step.
// CHECK: func.func @other
// CHECK-NEXT: llm.linear
func.func @other(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = llm.linear %x, @embd : (tensor<?x64xf32>) -> tensor<?x96xf32>
  return %x : tensor<?x64xf32>
}
