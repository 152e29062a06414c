// Effects keep reads of a cache between the writes around them; pure ops fold and move freely.
// RUN: llmir-opt %s --cse --allow-unregistered-dialect | FileCheck %s --check-prefix=CSE
// RUN: llmir-opt %s --loop-invariant-code-motion --allow-unregistered-dialect | FileCheck %s --check-prefix=LICM
// RUN: llmir-opt %s --canonicalize --allow-unregistered-dialect | FileCheck %s --check-prefix=DCE

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
llm.weight @w : tensor<8x8xf32>

// Equal reads of one cache are one read; reads with a write between them stay apart.
// CSE-LABEL: func.func @reads
func.func @reads(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>)
    -> (tensor<?x?xi32>, tensor<?x?xi32>, tensor<?x?xi32>, !kv) {
  // CSE: %[[A:.*]] = llm.block_table
  // CSE-NEXT: %[[KV:.*]] = llm.store_kv
  // CSE-NEXT: %[[B:.*]] = llm.block_table
  // CSE-NEXT: return %[[A]], %[[A]], %[[B]], %[[KV]]
  %0 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %1 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %2 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  %3 = llm.block_table %2, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %0, %1, %3, %2 : tensor<?x?xi32>, tensor<?x?xi32>, tensor<?x?xi32>, !kv
}

// A matrix product leaves the loop; a read of a cache does not.
// LICM-LABEL: func.func @loop
func.func @loop(%kv: !kv, %x: tensor<?x8xf32>, %seqs: tensor<?xi32>, %a: index, %b: index) {
  // LICM: llm.linear
  // LICM: scf.for
  // LICM: llm.block_table
  scf.for %i = %a to %b step %b {
    %0 = llm.linear %x, @w : (tensor<?x8xf32>) -> tensor<?x8xf32>
    %1 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
    "test.use"(%0, %1) : (tensor<?x8xf32>, tensor<?x?xi32>) -> ()
  }
  return
}

// A write whose result nobody reads stays; an unread product, and an unread cache, go.
// DCE-LABEL: func.func @dead
func.func @dead(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %x: tensor<?x8xf32>,
                %n: index) {
  // DCE-NEXT: llm.store_kv
  // DCE-NEXT: return
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  %1 = llm.linear %x, @w : (tensor<?x8xf32>) -> tensor<?x8xf32>
  %2 = llm.create_kv_cache %n : !kv
  return
}
