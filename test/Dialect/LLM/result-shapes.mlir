// The size of a result is that of an operand, or a sum of them, wherever one says it.
// RUN: llmir-opt %s --resolve-ranked-shaped-type-result-dims --canonicalize --cse | FileCheck %s

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
llm.weight @w : tensor<64x64xf32>
llm.weight @norm : tensor<64xf32>

// CHECK-LABEL: func.func @tokens
// CHECK-SAME: (%[[T:.*]]: tensor<?xi32>, %[[R:.*]]: tensor<?xi32>)
// CHECK-DAG: %[[DT:.*]] = tensor.dim %[[T]], %c0
// CHECK-DAG: %[[DR:.*]] = tensor.dim %[[R]], %c0
// CHECK: return %[[DT]], %[[DR]], %c64
func.func @tokens(%t: tensor<?xi32>, %r: tensor<?xi32>) -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %0 = llm.embedding %t, @w : tensor<?xi32> -> tensor<?x64xf32>
  %1 = llm.rms_norm %0, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %2 = llm.linear %1, @w : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  %3 = llm.rope %2 positions(%t) theta(1.0e+4) rotary_dim(16) half : tensor<?x4x16xf32>, tensor<?xi32>
  %4 = llm.linear %3, @w residual(%1) : (tensor<?x4x16xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %5 = llm.swiglu %4, %1 : tensor<?x64xf32>
  %6 = tensor.dim %5, %c0 : tensor<?x64xf32>
  %7 = llm.logits %5, %r, @w : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x?xf32>
  %8 = llm.sample %7 : (tensor<?x?xf32>) -> tensor<?xi32>
  %9 = tensor.dim %8, %c0 : tensor<?xi32>
  %10 = tensor.dim %7, %c1 : tensor<?x?xf32>
  return %6, %9, %10 : index, index, index
}

// CHECK-LABEL: func.func @attention
// CHECK-SAME: (%[[Q:.*]]: tensor<?x?x4x16xf32>, %[[K:.*]]: tensor<?x?x2x16xf32>, %[[V:.*]]: tensor<?x?x2x?xf32>)
// CHECK-DAG: %[[B:.*]] = tensor.dim %[[Q]], %c0
// CHECK-DAG: %[[T:.*]] = tensor.dim %[[Q]], %c1
// CHECK-DAG: %[[D:.*]] = tensor.dim %[[V]], %c3
// CHECK: return %[[B]], %[[T]], %[[D]]
func.func @attention(%q: tensor<?x?x4x16xf32>, %k: tensor<?x?x2x16xf32>, %v: tensor<?x?x2x?xf32>) -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c3 = arith.constant 3 : index
  %0 = llm.attention %q, %k, %v {num_heads = 4 : i32, scale = 0.25 : f32} : (tensor<?x?x4x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x?xf32>) -> tensor<?x?x4x?xf32>
  %1 = tensor.dim %0, %c0 : tensor<?x?x4x?xf32>
  %2 = tensor.dim %0, %c1 : tensor<?x?x4x?xf32>
  %3 = tensor.dim %0, %c3 : tensor<?x?x4x?xf32>
  return %1, %2, %3 : index, index, index
}

// The columns of a table are for whoever makes it to say.
// CHECK-LABEL: func.func @cache
// CHECK-SAME: (%[[KV:.*]]: !kv, %[[K:.*]]: tensor<?x?x2x16xf16>, %[[S:.*]]: tensor<?xi32>
// CHECK-DAG: %[[TOKENS:.*]] = tensor.dim %[[K]], %c1
// CHECK-DAG: %[[SEQUENCES:.*]] = tensor.dim %[[S]], %c0
// CHECK-DAG: %[[TABLE:.*]] = llm.block_table
// CHECK-DAG: %[[COLUMNS:.*]] = tensor.dim %[[TABLE]], %c1
// CHECK: return %{{.*}}, %[[TOKENS]], %[[SEQUENCES]], %[[COLUMNS]], %[[SEQUENCES]]
func.func @cache(%kv: !kv, %k: tensor<?x?x2x16xf16>, %s: tensor<?xi32>) -> (!kv, index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %kv1, %b = llm.append_kv %kv, %k, %k, %s {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<?x?x2x16xf16>, tensor<?x?x2x16xf16>, tensor<?xi32>) -> (!kv, tensor<?x?xi32>)
  %0 = tensor.dim %b, %c1 : tensor<?x?xi32>
  %t = llm.block_table %kv1, %s : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %1 = tensor.dim %t, %c0 : tensor<?x?xi32>
  %2 = tensor.dim %t, %c1 : tensor<?x?xi32>
  %l = llm.sequence_lengths %kv1, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %keys, %values = llm.lookup_kv %kv1, %t, %l : (!kv, tensor<?x?xi32>, tensor<?xi32>) -> (tensor<?x?x2x16xf16>, tensor<?x?x2x16xf16>)
  %3 = tensor.dim %keys, %c0 : tensor<?x?x2x16xf16>
  return %kv1, %0, %1, %2, %3 : !kv, index, index, index, index
}

// CHECK-LABEL: func.func @ranks
// CHECK-SAME: (%[[X:.*]]: tensor<?x16xf32>, %{{.*}}: !llm.step_context, %[[N:.*]]: index, %{{.*}}: tensor<?x9xf32>, %{{.*}}: tensor<?xi32>, %[[CU:.*]]: tensor<?xi32>)
// CHECK-DAG: %[[D:.*]] = tensor.dim %[[X]], %c0
// CHECK-DAG: %[[GATHERED:.*]] = affine.apply #{{.*}}()[%[[D]]]
// CHECK-DAG: %[[LENGTHS:.*]] = tensor.dim %[[CU]], %c0
// CHECK-DAG: %[[S:.*]] = affine.apply #{{.*}}()[%[[LENGTHS]]]
// CHECK: return %[[GATHERED]], %[[N]], %[[S]]
func.func @ranks(%x: tensor<?x16xf32>, %c: !llm.step_context, %n: index, %l: tensor<?x9xf32>, %d: tensor<?xi32>, %cu: tensor<?xi32>) -> (index, index, index) {
  %c0 = arith.constant 0 : index
  %0 = llm.all_gather %x, %c dim(0) shards(4) : tensor<?x16xf32> -> tensor<?x16xf32>
  %1 = tensor.dim %0, %c0 : tensor<?x16xf32>
  %2 = llm.recv %c[%n] from(0) : tensor<?x16xf32>
  %3 = tensor.dim %2, %c0 : tensor<?x16xf32>
  %a, %p, %next = llm.verify %l, %d, %cu : (tensor<?x9xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?xi32>, tensor<?x4xi32>, tensor<?xi32>)
  %4 = tensor.dim %p, %c0 : tensor<?x4xi32>
  return %1, %3, %4 : index, index, index
}

// CHECK-LABEL: func.func @reserved
// CHECK-SAME: (%{{.*}}: !kv, %[[S:.*]]: tensor<?xi32>, %[[N:.*]]: index, %[[Q:.*]]: tensor<?x4x16xf32>
// CHECK-DAG: %[[B:.*]] = tensor.dim %[[S]], %c0
// CHECK-DAG: %[[THREE:.*]] = affine.apply #{{.*}}()[%[[B]]]
// CHECK-DAG: %[[MANY:.*]] = arith.muli %[[B]], %[[N]]
// CHECK-DAG: %[[T:.*]] = tensor.dim %[[Q]], %c0
// CHECK: return %{{.*}}, %[[THREE]], %[[B]], %[[MANY]], %[[N]], %[[T]]
func.func @reserved(%kv: !kv, %s: tensor<?xi32>, %n: index, %q: tensor<?x4x16xf32>, %k: tensor<?x2x16xf32>, %p: tensor<?xi32>) -> (!kv, index, index, index, index, index) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %kv1, %slots, %blocks = llm.reserve_kv %kv, %s {tokens = 3 : i32} : (!kv, tensor<?xi32>) -> (!kv, tensor<?xi32>, tensor<?x3xi32>)
  %0 = tensor.dim %slots, %c0 : tensor<?xi32>
  %1 = tensor.dim %blocks, %c0 : tensor<?x3xi32>
  %kv2, %more, %others = llm.reserve_kv %kv1, %s tokens(%n) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<?xi32>, tensor<?x?xi32>)
  %2 = tensor.dim %more, %c0 : tensor<?xi32>
  %3 = tensor.dim %others, %c1 : tensor<?x?xi32>
  %kv3, %r = llm.rope_store_kv %kv2, %k, %k, %more queries(%q) positions(%p) theta(1.0e+4) rotary_dim(16) interleaved : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>, tensor<?x4x16xf32>, tensor<?xi32>) -> (!kv, tensor<?x4x16xf32>)
  %4 = tensor.dim %r, %c0 : tensor<?x4x16xf32>
  return %kv3, %0, %1, %2, %3, %4 : !kv, index, index, index, index, index
}
