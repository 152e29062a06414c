// Appends become reservations of slots and stores into them.
// RUN: llmir-opt %s --llm-separate-kv-allocation | FileCheck %s
// RUN: llmir-opt %s --llm-separate-kv-allocation --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=COUNTS
// RUN: llmir-opt %s --llm-separate-kv-allocation --llm-check-cache-uses -o /dev/null

// COUNTS: llm-separate-kv-allocation: 5 appends-separated

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// A known number of tokens; the layer is the store's, the blocks are the reservation's.
// CHECK-LABEL: func.func @padded(
// CHECK-SAME:    %[[KV:.*]]: !kv, %[[K:.*]]: tensor<2x3x16x64xf16>, %[[V:.*]]: tensor<2x3x16x64xf16>, %[[SEQS:.*]]: tensor<2xi32>
func.func @padded(%kv: !kv, %k: tensor<2x3x16x64xf16>, %v: tensor<2x3x16x64xf16>, %seqs: tensor<2xi32>) -> (!kv, tensor<2x3xi32>) {
  // CHECK-NEXT: %[[R:.*]], %[[SLOTS:.*]], %[[BLOCKS:.*]] = llm.reserve_kv %[[KV]], %[[SEQS]] {tokens = 3 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<6xi32>, tensor<2x3xi32>)
  // CHECK-NEXT: %[[NEW:.*]] = llm.store_kv %[[R]], %[[K]], %[[V]], %[[SLOTS]] {layer = 5 : i32} : (!kv, tensor<2x3x16x64xf16>, tensor<2x3x16x64xf16>, tensor<6xi32>) -> !kv
  // CHECK-NEXT: return %[[NEW]], %[[BLOCKS]]
  %new, %blocks = llm.append_kv %kv, %k, %v, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32, layer = 5 : i32}
      : (!kv, tensor<2x3x16x64xf16>, tensor<2x3x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
  return %new, %blocks : !kv, tensor<2x3xi32>
}

// Tokens that only the run knows; the layer is an operand.
// CHECK-LABEL: func.func @dynamic(
func.func @dynamic(%kv: !kv, %k: tensor<?x?x16x64xf32>, %seqs: tensor<?xi32>, %layer: index) -> (!kv, tensor<?x?xi32>) {
  // CHECK: %[[ONE:.*]] = arith.constant 1 : index
  // CHECK: %[[N:.*]] = tensor.dim %{{.*}}, %[[ONE]] : tensor<?x?x16x64xf32>
  // CHECK: llm.reserve_kv %{{.*}}, %{{.*}} tokens(%[[N]]) : (!kv, tensor<?xi32>, index) -> (!kv, tensor<?xi32>, tensor<?x?xi32>)
  // CHECK: llm.store_kv %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} layer(%{{.*}}) : (!kv, tensor<?x?x16x64xf32>, tensor<?x?x16x64xf32>, tensor<?xi32>, index) -> !kv
  %new, %blocks = llm.append_kv %kv, %k, %k, %seqs layer(%layer) {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, tensor<?x?x16x64xf32>, tensor<?x?x16x64xf32>, tensor<?xi32>, index) -> (!kv, tensor<?x?xi32>)
  return %new, %blocks : !kv, tensor<?x?xi32>
}

// One token for each sequence, of which the ids do not tell the number.
// CHECK-LABEL: func.func @one_each(
func.func @one_each(%kv: !kv, %k: tensor<4x16x64xf32>, %seqs: tensor<?xi32>) -> (!kv, tensor<4x1xi32>) {
  // CHECK: llm.reserve_kv %{{.*}}, %{{.*}} {tokens = 1 : i32} : (!kv, tensor<?xi32>) -> (!kv, tensor<4xi32>, tensor<4x1xi32>)
  // CHECK: llm.store_kv {{.*}} : (!kv, tensor<4x16x64xf32>, tensor<4x16x64xf32>, tensor<4xi32>) -> !kv
  %new, %blocks = llm.append_kv %kv, %k, %k, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, tensor<4x16x64xf32>, tensor<4x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<4x1xi32>)
  return %new, %blocks : !kv, tensor<4x1xi32>
}

// On buffers the slots, which are new, are given back.
// CHECK-LABEL: func.func @buffers(
func.func @buffers(%kv: !kv, %k: memref<2x?x16x64xf16>, %seqs: memref<2xi32>) -> (!kv, memref<2x?xi32>) {
  // CHECK: %[[N:.*]] = memref.dim
  // CHECK: %{{.*}}, %[[SLOTS:.*]], %{{.*}} = llm.reserve_kv %{{.*}}, %{{.*}} tokens(%[[N]]) : (!kv, memref<2xi32>, index) -> (!kv, memref<?xi32>, memref<2x?xi32>)
  // CHECK-NEXT: llm.store_kv
  // CHECK-NEXT: memref.dealloc %[[SLOTS]]
  %new, %blocks = llm.append_kv %kv, %k, %k, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
      : (!kv, memref<2x?x16x64xf16>, memref<2x?x16x64xf16>, memref<2xi32>) -> (!kv, memref<2x?xi32>)
  return %new, %blocks : !kv, memref<2x?xi32>
}

// In a loop that carries the cache.
// CHECK-LABEL: func.func @loop(
func.func @loop(%kv: !kv, %k: tensor<2x16x64xf16>, %seqs: tensor<2xi32>, %n: index) -> !kv {
  // CHECK: scf.for {{.*}} iter_args(%[[CURRENT:.*]] =
  // CHECK-NEXT: llm.reserve_kv %[[CURRENT]]
  // CHECK-NEXT: llm.store_kv
  // CHECK-NEXT: scf.yield
  %last = scf.for %i = %n to %n step %n iter_args(%current = %kv) -> !kv {
    %new, %blocks = llm.append_kv %current, %k, %k, %seqs {block_size = 16 : i32, max_seq_len = 4096 : i32}
        : (!kv, tensor<2x16x64xf16>, tensor<2x16x64xf16>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
    scf.yield %new : !kv
  }
  return %last : !kv
}

// Left alone: what has slots already, and reads.
// CHECK-LABEL: func.func @left_alone(
func.func @left_alone(%kv: !kv, %k: tensor<?x16x64xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>) -> (!kv, tensor<?x?xi32>) {
  // CHECK-NEXT: llm.store_kv
  // CHECK-NEXT: llm.block_table
  // CHECK-NEXT: return
  %new = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  %table = llm.block_table %new, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %new, %table : !kv, tensor<?x?xi32>
}
