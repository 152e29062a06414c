// The rotation of queries and keys and the store of keys and values become one op.
// RUN: llmir-opt %s --llm-fuse-kv-append | FileCheck %s
// RUN: llmir-opt %s --llm-fuse-kv-append --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=COUNTS

// COUNTS: llm-fuse-kv-append: 4 stores-fused

!kv = !llm.paged_kv_cache<f16, 4, 2, 16, 16, 512>
!q = tensor<?x4x16xf32>
!k = tensor<?x2x16xf32>
llm.weight @factors : tensor<8xf32>

// All that a rotation and a store say is kept.
// CHECK-LABEL: func.func @all_said(
// CHECK-SAME:    %[[KV:.*]]: !kv, %[[Q:.*]]: tensor<?x4x16xf32>, %[[K:.*]]: tensor<?x2x16xf32>, %[[V:.*]]: tensor<?x2x16xf32>, %[[SLOTS:.*]]: tensor<?xi32>, %[[P:.*]]: tensor<?xi32>
func.func @all_said(%kv: !kv, %q: !q, %k: !k, %v: !k, %slots: tensor<?xi32>, %p: tensor<?xi32>) -> (!kv, !q) {
  // CHECK-NEXT: %[[NEXT:.*]], %[[ROTATED:.*]] = llm.rope_store_kv %[[KV]], %[[K]], %[[V]], %[[SLOTS]] queries(%[[Q]]) positions(%[[P]]) theta(1.000000e+05) rotary_dim(16) interleaved frequency_factors(@factors) {layer = 3 : i32}
  // CHECK-NEXT: return %[[NEXT]], %[[ROTATED]]
  %r:2 = llm.rope %q, %k positions(%p) theta(1.0e+5) rotary_dim(16) interleaved frequency_factors(@factors) : !q, !k, tensor<?xi32>
  %0 = llm.store_kv %kv, %r#1, %v, %slots {layer = 3 : i32} : (!kv, !k, !k, tensor<?xi32>) -> !kv
  return %0, %r#0 : !kv, !q
}

// Keys alone, and keys that come first; values may be what the query's rotation reads.
// CHECK-LABEL: func.func @other_orders(
func.func @other_orders(%kv: !kv, %q: !q, %k: !k, %v: !k, %slots: tensor<?xi32>, %p: tensor<?xi32>) -> (!kv, !q, !k) {
  // CHECK-NEXT: %[[A:.*]] = llm.rope_store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} positions(%{{.*}}) theta(1.000000e+04) rotary_dim(8) half :
  // CHECK-NEXT: %[[B:.*]], %[[ROTATED:.*]]:2 = llm.rope_store_kv %[[A]], %{{.*}}, %{{.*}}, %{{.*}} queries(%{{.*}}, %{{.*}}) positions
  // CHECK-NEXT: return %[[B]], %[[ROTATED]]#0, %[[ROTATED]]#1
  %r = llm.rope %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !k, tensor<?xi32>
  %0 = llm.store_kv %kv, %r, %v, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  %s:3 = llm.rope %k, %q, %v positions(%p) theta(1.0e+4) rotary_dim(8) half : !k, !q, !k, tensor<?xi32>
  %1 = llm.store_kv %0, %s#0, %v, %slots {layer = 1 : i32} : (!kv, !k, !k, tensor<?xi32>) -> !kv
  return %1, %s#1, %s#2 : !kv, !q, !k
}

// The rotated queries are read behind the store, in a branch.
// CHECK-LABEL: func.func @read_behind(
func.func @read_behind(%kv: !kv, %q: !q, %k: !k, %slots: tensor<?xi32>, %p: tensor<?xi32>, %c: i1) -> !kv {
  // CHECK: llm.rope_store_kv
  %r:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  %0 = llm.store_kv %kv, %r#1, %k, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  scf.if %c {
    func.call @use(%r#0) : (!q) -> ()
  }
  return %0 : !kv
}
func.func private @use(!q)

// Left alone: keys that something else reads, queries that are read before the store, keys that are
// also the values, a layer that is an operand, a rotation outside the loop, keys that are not rotated.
// CHECK-LABEL: func.func @left_alone(
func.func @left_alone(%kv: !kv, %q: !q, %k: !k, %slots: tensor<?xi32>, %p: tensor<?xi32>, %n: index) -> (!kv, !k) {
  // CHECK-NOT: llm.rope_store_kv
  // CHECK: return
  %a:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  %0 = llm.store_kv %kv, %a#1, %k, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  %b:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  func.call @use(%b#0) : (!q) -> ()
  %1 = llm.store_kv %0, %b#1, %k, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  %c:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  %2 = llm.store_kv %1, %c#1, %c#1, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  %d:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  %3 = llm.store_kv %2, %d#1, %k, %slots layer(%n) : (!kv, !k, !k, tensor<?xi32>, index) -> !kv
  %e:2 = llm.rope %q, %k positions(%p) theta(1.0e+4) rotary_dim(8) half : !q, !k, tensor<?xi32>
  %4 = scf.for %i = %n to %n step %n iter_args(%current = %3) -> !kv {
    %next = llm.store_kv %current, %e#1, %k, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
    scf.yield %next : !kv
  }
  %5 = llm.store_kv %4, %k, %k, %slots : (!kv, !k, !k, tensor<?xi32>) -> !kv
  return %5, %a#1 : !kv, !k
}
