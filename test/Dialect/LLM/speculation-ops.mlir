// Ops of speculative decoding: round trips, folds, and what stays.
// RUN: llmir-opt %s | FileCheck %s
// RUN: llmir-opt %s --mlir-print-op-generic | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --emit-bytecode | llmir-opt | FileCheck %s
// RUN: llmir-opt %s --canonicalize | FileCheck %s --check-prefix=CANON

!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>

// CHECK-LABEL: func.func @drafts
func.func @drafts(%kv: !kv, %s: tensor<?xi32>, %c: tensor<?xi32>, %n: tensor<?xi32>, %m: tensor<?xi32>, %path: tensor<?x?xi32>) -> !kv {
  // CHECK: llm.fork %{{.*}}, %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // CANON: llm.fork
  %0 = llm.fork %kv, %s, %c : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // CHECK: llm.commit %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  // CANON: llm.commit
  %1 = llm.commit %0, %s, %n, %m : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  // CHECK: llm.commit %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} path(%{{.*}}) : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> !kv
  // CANON: llm.commit
  %2 = llm.commit %1, %s, %n, %n path(%path) : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?x?xi32>) -> !kv
  // CHECK: llm.rollback %{{.*}}, %{{.*}}, %{{.*}} : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // CANON: llm.rollback
  %3 = llm.rollback %2, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %3 : !kv
}

// CHECK-LABEL: func.func @verify
func.func @verify(%l: tensor<?x100xf32>, %d: tensor<?xi32>, %cu: tensor<?xi32>, %p: tensor<?xi32>, %u: tensor<?xf32>) -> (tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>) {
  // CHECK: llm.verify %{{.*}}, %{{.*}}, %{{.*}} : (tensor<?x100xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>)
  %a:3 = llm.verify %l, %d, %cu : (tensor<?x100xf32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>)
  // CHECK: llm.verify %{{.*}}, %{{.*}}, %{{.*}} parents(%{{.*}}) uniforms(%{{.*}}) draft_probabilities(%{{.*}}) :
  %b:3 = llm.verify %l, %d, %cu parents(%p) uniforms(%u) draft_probabilities(%l) : (tensor<?x100xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>, tensor<?xf32>, tensor<?x100xf32>) -> (tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>)
  return %a#0, %b#1, %b#2 : tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>
}

// To the lengths that the sequences have: nothing happens.
// CANON-LABEL: func.func @rollback_to_full_length
// CANON-SAME:    %[[KV:.*]]: !kv,
func.func @rollback_to_full_length(%kv: !kv, %s: tensor<?xi32>) -> !kv {
  // CANON-NEXT: return %[[KV]]
  %n = llm.sequence_lengths %kv, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %0 = llm.rollback %kv, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %0 : !kv
}

// To the lengths of other sequences, or before something was appended: it stays.
// CANON-LABEL: func.func @rollback_stays
func.func @rollback_stays(%kv: !kv, %s: tensor<?xi32>, %o: tensor<?xi32>, %k: tensor<?x16x64xf32>) -> !kv {
  // CANON: llm.rollback
  // CANON: llm.append_kv
  // CANON: llm.rollback
  %n = llm.sequence_lengths %kv, %o : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %0 = llm.rollback %kv, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  %m = llm.sequence_lengths %0, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %1, %b = llm.append_kv %0, %k, %k, %s {block_size = 16 : i32, max_seq_len = 4096 : i32} : (!kv, tensor<?x16x64xf32>, tensor<?x16x64xf32>, tensor<?xi32>) -> (!kv, tensor<?x1xi32>)
  %2 = llm.rollback %1, %s, %m : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %2 : !kv
}

// Twice to the same lengths is once.
// CANON-LABEL: func.func @rollback_twice
func.func @rollback_twice(%kv: !kv, %s: tensor<?xi32>, %n: tensor<?xi32>) -> !kv {
  // CANON-COUNT-1: llm.rollback
  // CANON-NEXT: return
  %0 = llm.rollback %kv, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  %1 = llm.rollback %0, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %1 : !kv
}

// Everything that was drafted is accepted.
// CANON-LABEL: func.func @commit_all
// CANON-SAME:    %[[KV:.*]]: !kv,
func.func @commit_all(%kv: !kv, %s: tensor<?xi32>, %n: tensor<?xi32>) -> !kv {
  // CANON-NEXT: return %[[KV]]
  %0 = llm.commit %kv, %s, %n, %n : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %0 : !kv
}
