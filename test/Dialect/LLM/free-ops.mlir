// Ending sequences and caches: round trips, and what need not be done before an end.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize | FileCheck %s --check-prefix=CANON

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// CHECK-LABEL: func.func @ends
// CANON-LABEL: func.func @ends
func.func @ends(%kv: !kv, %other: !kv, %s: tensor<?xi32>) -> (tensor<?xi32>, !kv) {
  // CHECK: llm.sequence_lengths %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %n = llm.sequence_lengths %kv, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  // CHECK: llm.free_sequences %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>) -> !kv
  // CANON: llm.free_sequences
  %1 = llm.free_sequences %kv, %s : (!kv, tensor<?xi32>) -> !kv
  // CHECK: llm.free_kv_cache %{{.*}} : !kv
  // CANON: llm.free_kv_cache
  llm.free_kv_cache %other : !kv
  return %n, %1 : tensor<?xi32>, !kv
}

// A branch that ends with nothing between.
// CANON-LABEL: func.func @fork_and_free
// CANON-SAME:    %[[KV:.*]]: !kv,
func.func @fork_and_free(%kv: !kv, %p: tensor<?xi32>, %c: tensor<?xi32>) -> !kv {
  // CANON-NEXT: return %[[KV]]
  %0 = llm.fork %kv, %p, %c : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  %1 = llm.free_sequences %0, %c : (!kv, tensor<?xi32>) -> !kv
  return %1 : !kv
}

// The parents end instead, or the branch is read: both stay.
// CANON-LABEL: func.func @fork_stays
func.func @fork_stays(%kv: !kv, %p: tensor<?xi32>, %c: tensor<?xi32>) -> (!kv, tensor<?xi32>) {
  // CANON: llm.fork
  // CANON: llm.free_sequences
  // CANON: llm.fork
  // CANON: llm.sequence_lengths
  // CANON: llm.free_sequences
  %0 = llm.fork %kv, %p, %c : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  %1 = llm.free_sequences %0, %p : (!kv, tensor<?xi32>) -> !kv
  %2 = llm.fork %1, %c, %p : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  %n = llm.sequence_lengths %2, %p : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %3 = llm.free_sequences %2, %p : (!kv, tensor<?xi32>) -> !kv
  return %3, %n : !kv, tensor<?xi32>
}

// What only changes a cache that ends is not done.
// CANON-LABEL: func.func @changes_before_end
// CANON-SAME:    %[[KV:.*]]: !kv,
func.func @changes_before_end(%kv: !kv, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>) {
  // CANON-NEXT: llm.free_kv_cache %[[KV]]
  // CANON-NEXT: return
  %0 = llm.store_kv %kv, %k, %k, %s : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> !kv
  %1, %b = llm.append_kv %0, %k, %k, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x1xi32>)
  %2 = llm.free_sequences %1, %s : (!kv, tensor<?xi32>) -> !kv
  llm.free_kv_cache %2 : !kv
  return
}

// A change that somebody reads stays.
// CANON-LABEL: func.func @read_before_end
func.func @read_before_end(%kv: !kv, %k: tensor<?x16x64xf32>, %s: tensor<?xi32>) -> tensor<?x1xi32> {
  // CANON: llm.append_kv
  // CANON: llm.free_kv_cache
  %0, %b = llm.append_kv %kv, %k, %k, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x1xi32>)
  llm.free_kv_cache %0 : !kv
  return %b : tensor<?x1xi32>
}

// A cache that nobody uses.
// CANON-LABEL: func.func @create_and_free
func.func @create_and_free(%n: index) {
  // CANON-NEXT: return
  %kv = llm.create_kv_cache %n : !kv
  llm.free_kv_cache %kv : !kv
  return
}
