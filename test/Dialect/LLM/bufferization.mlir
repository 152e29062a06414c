// On buffers, caches are changed in place: nothing is copied, and what attention gives is new.
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" | FileCheck %s
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" --ownership-based-buffer-deallocation --canonicalize --buffer-deallocation-simplification | FileCheck %s --check-prefix=DEALLOC
// RUN: llmir-opt %s --one-shot-bufferize="bufferize-function-boundaries" | llmir-opt | llmir-opt --emit-bytecode | llmir-opt -o /dev/null

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>

// CHECK-LABEL: func.func @step
// CHECK-SAME:    (%[[KV:.*]]: !kv, %[[Q:.*]]: memref<?x4x64xf32>, %[[K:.*]]: memref<?x2x64xf32>, %[[SLOTS:[a-z0-9]*]]: memref<?xi32>
func.func @step(%kv: !kv, %q: tensor<?x4x64xf32>, %k: tensor<?x2x64xf32>, %slots: tensor<?xi32>,
                %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>)
    -> (tensor<?x4x64xf32>, !kv) {
  // CHECK-NOT: memref.alloc
  // CHECK-NOT: memref.copy
  // CHECK: %[[KV1:.*]] = llm.store_kv %[[KV]], %[[K]], %[[K]], %[[SLOTS]] {layer = 1 : i32} : (!kv, memref<?x2x64xf32>, memref<?x2x64xf32>, memref<?xi32>) -> !kv
  %kv1 = llm.store_kv %kv, %k, %k, %slots {layer = 1 : i32} : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
  // CHECK-NEXT: %[[O:.*]] = llm.paged_attention %[[Q]], %[[KV1]], %{{.*}}, %{{.*}} cu_lengths(%{{.*}}) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 1.250000e-01 : f32, layer = 1 : i32} : (memref<?x4x64xf32>, !kv, memref<?x?xi32>, memref<?xi32>, memref<?xi32>) -> memref<?x4x64xf32>
  %o = llm.paged_attention %q, %kv1, %table, %lens cu_lengths(%cu) {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 1 : i32}
      : (tensor<?x4x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x64xf32>
  // CHECK-NEXT: return %[[O]], %[[KV1]]
  return %o, %kv1 : tensor<?x4x64xf32>, !kv
}

// Slots and blocks of a reservation are new buffers.
// CHECK-LABEL: func.func @reserve
// DEALLOC-LABEL: func.func @reserve
func.func @reserve(%kv: !kv, %k: tensor<2x3x2x64xf32>, %s: tensor<2xi32>) -> !kv {
  // CHECK: %[[KV0:.*]], %[[SLOTS:.*]], %[[BLOCKS:.*]] = llm.reserve_kv {{.*}} {tokens = 3 : i32} : (!kv, memref<2xi32>) -> (!kv, memref<6xi32>, memref<2x3xi32>)
  // DEALLOC: %{{.*}}, %[[SLOTS:.*]], %[[BLOCKS:.*]] = llm.reserve_kv
  %0, %slots, %blocks = llm.reserve_kv %kv, %s {tokens = 3 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<6xi32>, tensor<2x3xi32>)
  // CHECK: llm.store_kv %[[KV0]], %{{.*}}, %{{.*}}, %[[SLOTS]] : (!kv, memref<2x3x2x64xf32>, memref<2x3x2x64xf32>, memref<6xi32>) -> !kv
  // DEALLOC: llm.store_kv
  // DEALLOC-DAG: bufferization.dealloc (%[[SLOTS]] : memref<6xi32>)
  // DEALLOC-DAG: bufferization.dealloc (%[[BLOCKS]] : memref<2x3xi32>)
  %1 = llm.store_kv %0, %k, %k, %slots : (!kv, tensor<2x3x2x64xf32>, tensor<2x3x2x64xf32>, tensor<6xi32>) -> !kv
  return %1 : !kv
}

// All the others, in a loop that carries the cache.
// CHECK-LABEL: func.func @others
// DEALLOC-LABEL: func.func @others
func.func @others(%kv: !kv, %q: tensor<2x3x4x64xf32>, %k: tensor<2x3x2x64xf32>, %s: tensor<2xi32>, %m: index, %n: index) -> !kv {
  // CHECK: scf.for {{.*}} iter_args(%[[KV:.*]] = %{{.*}}) -> (!kv)
  // CHECK-NOT: memref.copy
  // DEALLOC: scf.for
  %r = scf.for %i = %m to %n step %n iter_args(%kv0 = %kv) -> !kv {
    // CHECK: llm.append_kv %[[KV]], {{.*}} -> (!kv, memref<2x3xi32>)
    %kv1, %b = llm.append_kv %kv0, %k, %k, %s {block_size = 16 : i32, max_seq_len = 512 : i32} : (!kv, tensor<2x3x2x64xf32>, tensor<2x3x2x64xf32>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
    // CHECK: %[[T:.*]] = llm.block_table {{.*}} -> memref<2x32xi32>
    %t = llm.block_table %kv1, %s : (!kv, tensor<2xi32>) -> tensor<2x32xi32>
    // CHECK: %[[L:.*]] = llm.sequence_lengths {{.*}} -> memref<2xi32>
    %l = llm.sequence_lengths %kv1, %s : (!kv, tensor<2xi32>) -> tensor<2xi32>
    // CHECK: llm.paged_attention {{.*}} -> memref<2x3x4x64xf32>
    %o = llm.paged_attention %q, %kv1, %t, %l {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32} : (tensor<2x3x4x64xf32>, !kv, tensor<2x32xi32>, tensor<2xi32>) -> tensor<2x3x4x64xf32>
    // CHECK: llm.lookup_kv {{.*}} -> (memref<2x?x2x64xf16>, memref<2x?x2x64xf16>)
    %ck, %cv = llm.lookup_kv %kv1, %t, %l : (!kv, tensor<2x32xi32>, tensor<2xi32>) -> (tensor<2x?x2x64xf16>, tensor<2x?x2x64xf16>)
    // CHECK: llm.attention {{.*}} -> memref<2x3x4x64xf32>
    %p = llm.attention %o, %ck, %cv key_lengths(%l) {num_heads = 4 : i32, scale = 0.125 : f32, causal} : (tensor<2x3x4x64xf32>, tensor<2x?x2x64xf16>, tensor<2x?x2x64xf16>, tensor<2xi32>) -> tensor<2x3x4x64xf32>
    // CHECK: llm.fork {{.*}} : (!kv, memref<2xi32>, memref<2xi32>) -> !kv
    %kv2 = llm.fork %kv1, %s, %l : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
    // CHECK: llm.commit {{.*}} : (!kv, memref<2xi32>, memref<2xi32>, memref<2xi32>) -> !kv
    %kv3 = llm.commit %kv2, %s, %l, %l : (!kv, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>) -> !kv
    // CHECK: llm.rollback {{.*}} : (!kv, memref<2xi32>, memref<2xi32>) -> !kv
    %kv4 = llm.rollback %kv3, %s, %l : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
    // CHECK: %[[KV5:.*]] = llm.free_sequences {{.*}} : (!kv, memref<2xi32>) -> !kv
    %kv5 = llm.free_sequences %kv4, %s : (!kv, tensor<2xi32>) -> !kv
    // What nobody keeps is freed.
    // DEALLOC: llm.attention
    // DEALLOC-COUNT-7: bufferization.dealloc
    // DEALLOC-NOT: bufferization.dealloc
    // DEALLOC: scf.yield
    // CHECK: scf.yield %[[KV5]]
    scf.yield %kv5 : !kv
  }
  return %r : !kv
}
