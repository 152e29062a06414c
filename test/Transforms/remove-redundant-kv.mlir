// Reads that repeat earlier ones or give what was just written, and writes that nobody sees.
// RUN: llmir-opt %s --llm-remove-redundant-kv | FileCheck %s
// RUN: llmir-opt %s --llm-remove-redundant-kv --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=COUNTS

// COUNTS-DAG: llm-remove-redundant-kv: 3 reads-removed
// COUNTS-DAG: llm-remove-redundant-kv: 2 lookups-forwarded
// COUNTS-DAG: llm-remove-redundant-kv: 2 stores-removed
// COUNTS-DAG: llm-remove-redundant-kv: 4 empty-appends-removed

!kv = !llm.paged_kv_cache<f16, 2, 2, 8, 4, 64>
!keys = tensor<?x2x8xf32>

//===--- Repeated reads -----------------------------------------------------------------------===//

// Stores change no table and no length, and a lookup sees those of its own layer alone.
// CHECK-LABEL: func.func @repeated(
func.func @repeated(%kv: !kv, %k: !keys, %slots: tensor<?xi32>, %seqs: tensor<2xi32>) -> (!kv, tensor<2x16xi32>, tensor<2xi32>, tensor<2x?x2x8xf16>) {
  // CHECK: %[[TABLE:.*]] = llm.block_table
  // CHECK-NEXT: %[[LENGTHS:.*]] = llm.sequence_lengths
  // CHECK-NEXT: %[[K:.*]], %{{.*}} = llm.lookup_kv
  // CHECK-NEXT: %[[NEXT:.*]] = llm.store_kv
  // CHECK-NEXT: return %[[NEXT]], %[[TABLE]], %[[LENGTHS]], %[[K]]
  %t0 = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %l0 = llm.sequence_lengths %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
  %k0, %v0 = llm.lookup_kv %kv, %t0, %l0 : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  %0 = llm.store_kv %kv, %k, %k, %slots {layer = 1 : i32} : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %t1 = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %l1 = llm.sequence_lengths %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
  %k1, %v1 = llm.lookup_kv %0, %t1, %l1 : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  return %0, %t1, %l1, %k1 : !kv, tensor<2x16xi32>, tensor<2xi32>, tensor<2x?x2x8xf16>
}

// A reservation finds blocks, a store writes what the lookup gives, a layer that is an operand may be
// any: all of these reads stay.
// CHECK-LABEL: func.func @changed(
func.func @changed(%kv: !kv, %k: !keys, %slots: tensor<?xi32>, %seqs: tensor<2xi32>, %table: tensor<2x16xi32>, %lens: tensor<2xi32>, %i: index) -> (!kv, tensor<2x16xi32>, tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>) {
  // CHECK: llm.block_table
  // CHECK-NEXT: llm.lookup_kv
  // CHECK-NEXT: llm.reserve_kv
  // CHECK-NEXT: llm.block_table
  // CHECK-NEXT: llm.store_kv
  // CHECK-NEXT: llm.lookup_kv
  // CHECK-NEXT: llm.store_kv
  // CHECK-NEXT: llm.lookup_kv
  %t0 = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %k0, %v0 = llm.lookup_kv %kv, %table, %lens : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  %0, %more, %blocks = llm.reserve_kv %kv, %seqs {tokens = 1 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<2xi32>, tensor<2x1xi32>)
  %t1 = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %1 = llm.store_kv %0, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %k1, %v1 = llm.lookup_kv %1, %table, %lens : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  %2 = llm.store_kv %1, %k, %k, %slots layer(%i) : (!kv, !keys, !keys, tensor<?xi32>, index) -> !kv
  %k2, %v2 = llm.lookup_kv %2, %table, %lens : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  return %2, %t1, %k1, %k2 : !kv, tensor<2x16xi32>, tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>
}

// Buffers are new, and whoever got one frees it.
// CHECK-LABEL: func.func @buffers(
func.func @buffers(%kv: !kv, %seqs: memref<2xi32>) -> (memref<2x16xi32>, memref<2x16xi32>) {
  // CHECK-COUNT-2: llm.block_table
  %t0 = llm.block_table %kv, %seqs : (!kv, memref<2xi32>) -> memref<2x16xi32>
  %t1 = llm.block_table %kv, %seqs : (!kv, memref<2xi32>) -> memref<2x16xi32>
  return %t0, %t1 : memref<2x16xi32>, memref<2x16xi32>
}

// The earlier read is in a branch.
// CHECK-LABEL: func.func @branch(
func.func @branch(%kv: !kv, %seqs: tensor<2xi32>, %c: i1) -> tensor<2x16xi32> {
  // CHECK-COUNT-2: llm.block_table
  scf.if %c {
    %t0 = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
    func.call @use(%t0) : (tensor<2x16xi32>) -> ()
  }
  %t1 = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  return %t1 : tensor<2x16xi32>
}
func.func private @use(tensor<2x16xi32>)

//===--- Lookups of what was just appended ----------------------------------------------------===//

// The whole of one sequence, and of sequences that are known to be different.
// CHECK-LABEL: func.func @appended(
// CHECK-SAME:    %{{.*}}: index, %[[K:.*]]: tensor<1x3x2x8xf16>, %[[V:.*]]: tensor<1x3x2x8xf16>
func.func @appended(%n: index, %k: tensor<1x3x2x8xf16>, %v: tensor<1x3x2x8xf16>, %seq: tensor<1xi32>) -> (tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>) {
  // CHECK-NOT: llm.lookup_kv
  // CHECK: return %[[K]], %[[V]]
  %kv = llm.create_kv_cache %n : !kv
  %0, %b = llm.append_kv %kv, %k, %v, %seq {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>, tensor<1xi32>) -> (!kv, tensor<1x3xi32>)
  %t = llm.block_table %0, %seq : (!kv, tensor<1xi32>) -> tensor<1x16xi32>
  %l = llm.sequence_lengths %0, %seq : (!kv, tensor<1xi32>) -> tensor<1xi32>
  %ck, %cv = llm.lookup_kv %0, %t, %l : (!kv, tensor<1x16xi32>, tensor<1xi32>) -> (tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>)
  llm.free_kv_cache %0 : !kv
  return %ck, %cv : tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>
}

// CHECK-LABEL: func.func @appended_to_several(
func.func @appended_to_several(%n: index, %k: tensor<2x3x2x8xf16>) -> tensor<2x3x2x8xf16> {
  // CHECK-NOT: llm.lookup_kv
  %seqs = arith.constant dense<[4, 7]> : tensor<2xi32>
  %l = arith.constant dense<3> : tensor<2xi32>
  %kv = llm.create_kv_cache %n : !kv
  %0, %b = llm.append_kv %kv, %k, %k, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
  %t = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %ck, %cv = llm.lookup_kv %0, %t, %l : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>)
  llm.free_kv_cache %0 : !kv
  return %ck : tensor<2x3x2x8xf16>
}

// Not what was appended: ids that may be equal; storage that rounds; another layer; a shorter part.
// CHECK-LABEL: func.func @not_what_was_appended(
func.func @not_what_was_appended(%n: index, %k: tensor<2x3x2x8xf16>, %seqs: tensor<2xi32>) -> (tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>) {
  // CHECK-COUNT-3: llm.lookup_kv
  %known = arith.constant dense<[4, 7]> : tensor<2xi32>
  %two = arith.constant dense<2> : tensor<2xi32>
  %kv = llm.create_kv_cache %n : !kv
  %0, %b = llm.append_kv %kv, %k, %k, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
  %t = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %l = llm.sequence_lengths %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
  %ck, %cv = llm.lookup_kv %0, %t, %l : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>)
  llm.free_kv_cache %0 : !kv

  %other = llm.create_kv_cache %n : !kv
  %1, %b1 = llm.append_kv %other, %k, %k, %known {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>, tensor<2xi32>) -> (!kv, tensor<2x3xi32>)
  %t1 = llm.block_table %1, %known : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %ck1, %cv1 = llm.lookup_kv %1, %t1, %two : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>)
  %l1 = llm.sequence_lengths %1, %known : (!kv, tensor<2xi32>) -> tensor<2xi32>
  %ck2, %cv2 = llm.lookup_kv %1, %t1, %l1 {layer = 1 : i32} : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>)
  llm.free_kv_cache %1 : !kv
  return %ck, %ck1, %ck2 : tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>, tensor<2x3x2x8xf16>
}

!rounding = !llm.paged_kv_cache<f16, 2, 2, 8, 4, 64, value_storage = f8E4M3FN>
// CHECK-LABEL: func.func @rounded(
func.func @rounded(%n: index, %k: tensor<1x3x2x8xf16>, %seq: tensor<1xi32>) -> tensor<1x3x2x8xf16> {
  // CHECK: llm.lookup_kv
  %kv = llm.create_kv_cache %n : !rounding
  %0, %b = llm.append_kv %kv, %k, %k, %seq {block_size = 4 : i32, max_seq_len = 64 : i32} : (!rounding, tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>, tensor<1xi32>) -> (!rounding, tensor<1x3xi32>)
  %t = llm.block_table %0, %seq : (!rounding, tensor<1xi32>) -> tensor<1x16xi32>
  %l = llm.sequence_lengths %0, %seq : (!rounding, tensor<1xi32>) -> tensor<1xi32>
  %ck, %cv = llm.lookup_kv %0, %t, %l : (!rounding, tensor<1x16xi32>, tensor<1xi32>) -> (tensor<1x3x2x8xf16>, tensor<1x3x2x8xf16>)
  llm.free_kv_cache %0 : !rounding
  return %ck : tensor<1x3x2x8xf16>
}

//===--- Stores that nobody sees --------------------------------------------------------------===//

// Behind a store into the other layer, and tables between.
// CHECK-LABEL: func.func @overwritten(
// CHECK-SAME:    %[[KV:.*]]: !kv, %[[K:.*]]: tensor<?x2x8xf32>, %[[V:.*]]: tensor<?x2x8xf32>
func.func @overwritten(%kv: !kv, %k: !keys, %v: !keys, %slots: tensor<?xi32>, %seqs: tensor<2xi32>) -> (!kv, tensor<2x16xi32>) {
  // CHECK-NEXT: %[[TABLE:.*]] = llm.block_table %[[KV]]
  // CHECK-NEXT: %[[A:.*]] = llm.store_kv %[[KV]], %[[K]], %[[V]], %{{.*}} {layer = 1 : i32}
  // CHECK-NEXT: %[[B:.*]] = llm.store_kv %[[A]], %[[V]], %[[V]], %{{[^{]*}} :
  // CHECK-NEXT: return %[[B]], %[[TABLE]]
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %t = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
  %1 = llm.store_kv %0, %k, %v, %slots {layer = 1 : i32} : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %2 = llm.store_kv %1, %v, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %3 = llm.store_kv %2, %v, %v, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  return %3, %t : !kv, tensor<2x16xi32>
}

// Read before, by a lookup or by attention; other slots; moved by a fork's copy; seen in a loop.
// CHECK-LABEL: func.func @seen(
func.func @seen(%kv: !kv, %k: !keys, %slots: tensor<?xi32>, %others: tensor<?xi32>, %table: tensor<2x16xi32>, %lens: tensor<2xi32>, %seqs: tensor<2xi32>, %n: index) -> (!kv, tensor<2x?x2x8xf16>) {
  // CHECK-COUNT-8: llm.store_kv
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %ck, %cv = llm.lookup_kv %0, %table, %lens : (!kv, tensor<2x16xi32>, tensor<2xi32>) -> (tensor<2x?x2x8xf16>, tensor<2x?x2x8xf16>)
  %1 = llm.store_kv %0, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %2 = llm.store_kv %1, %k, %k, %others : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %3 = llm.fork %2, %seqs, %lens : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
  %4 = llm.store_kv %3, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %5 = llm.store_kv %4, %k, %k, %slots layer(%n) : (!kv, !keys, !keys, tensor<?xi32>, index) -> !kv
  %6 = scf.for %i = %n to %n step %n iter_args(%current = %5) -> !kv {
    %next = llm.store_kv %current, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
    scf.yield %next : !kv
  }
  %7 = llm.store_kv %6, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  %8 = func.call @look(%7) : (!kv) -> !kv
  %9 = llm.store_kv %8, %k, %k, %slots : (!kv, !keys, !keys, tensor<?xi32>) -> !kv
  return %9, %ck : !kv, tensor<2x?x2x8xf16>
}
func.func private @look(!kv) -> !kv

//===--- Appends of nothing -------------------------------------------------------------------===//

// CHECK-LABEL: func.func @nothing(
// CHECK-SAME:    %[[KV:.*]]: !kv
func.func @nothing(%kv: !kv, %k0: tensor<0x2x8xf32>, %k1: tensor<2x0x2x8xf32>, %s0: tensor<0xi32>, %seqs: tensor<2xi32>) -> (!kv, tensor<0x1xi32>, tensor<2x0xi32>, tensor<0xi32>) {
  // Sequences start even without a token.
  // CHECK: %[[NEXT:.*]], %{{.*}}, %[[BLOCKS:.*]] = llm.reserve_kv %[[KV]], %{{.*}} {tokens = 0 : i32} : (!kv, tensor<2xi32>) -> (!kv, tensor<0xi32>, tensor<2x0xi32>)
  // CHECK-NOT: llm.
  // CHECK: return %[[NEXT]], %{{.*}}, %[[BLOCKS]], %{{.*}} :
  %0 = llm.store_kv %kv, %k0, %k0, %s0 : (!kv, tensor<0x2x8xf32>, tensor<0x2x8xf32>, tensor<0xi32>) -> !kv
  %1, %b1 = llm.append_kv %0, %k0, %k0, %s0 {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<0x2x8xf32>, tensor<0x2x8xf32>, tensor<0xi32>) -> (!kv, tensor<0x1xi32>)
  %2, %b2 = llm.append_kv %1, %k1, %k1, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<2x0x2x8xf32>, tensor<2x0x2x8xf32>, tensor<2xi32>) -> (!kv, tensor<2x0xi32>)
  %3, %slots, %b3 = llm.reserve_kv %2, %s0 {tokens = 3 : i32} : (!kv, tensor<0xi32>) -> (!kv, tensor<0xi32>, tensor<0x3xi32>)
  return %3, %b1, %b2, %slots : !kv, tensor<0x1xi32>, tensor<2x0xi32>, tensor<0xi32>
}

// What only the run knows may be something.
// CHECK-LABEL: func.func @perhaps_nothing(
func.func @perhaps_nothing(%kv: !kv, %k: tensor<?x?x2x8xf32>, %seqs: tensor<?xi32>) -> !kv {
  // CHECK: llm.append_kv
  %0, %b = llm.append_kv %kv, %k, %k, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32} : (!kv, tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>, tensor<?xi32>) -> (!kv, tensor<?x?xi32>)
  return %0 : !kv
}
