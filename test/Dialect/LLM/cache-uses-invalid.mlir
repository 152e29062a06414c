// What the verifier of a consumer sees of a cache in its own block, one case a message.
// RUN: llmir-opt %s --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>) -> (!kv, !kv) {
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  // (USE-1)
  // expected-error @+1 {{'llm.store_kv' op consumes a cache that was consumed before}}
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  return %0, %1 : !kv, !kv
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>) -> !kv {
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  // (USE-2)
  // expected-error @+1 {{'llm.block_table' op uses a cache after it was consumed}}
  %1 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %0 : !kv
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>) -> !kv {
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  // (USE-2)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %kv : !kv
}

// -----

// A use inside a region of a later op.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %c: i1) {
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  scf.if %c {
    // (USE-1)
    // expected-error @+1 {{'llm.store_kv' op consumes a cache that was consumed before}}
    %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  }
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %a: index, %b: index) {
  // expected-note @+1 {{the loop is here; carry the cache through it}}
  scf.for %i = %a to %b step %b {
    // (USE-3)
    // expected-error @+1 {{'llm.store_kv' op consumes in a loop a cache that is defined outside it}}
    %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  }
  return
}

// -----

// The loop need not be the innermost op around the consumer.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<2x1x2x8xf32>, %seqs: tensor<2xi32>, %c: i1) {
  // expected-note @+1 {{the loop is here; carry the cache through it}}
  scf.while : () -> () {
    scf.condition(%c)
  } do {
    scf.if %c {
      // (USE-3)
      // expected-error @+1 {{'llm.append_kv' op consumes in a loop a cache that is defined outside it}}
      %0, %1 = llm.append_kv %kv, %k, %k, %seqs {block_size = 4 : i32, max_seq_len = 64 : i32}
          : (!kv, tensor<2x1x2x8xf32>, tensor<2x1x2x8xf32>, tensor<2xi32>) -> (!kv, tensor<2x1xi32>)
    }
    scf.yield
  }
  return
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>) -> !kv {
  // expected-note @+1 {{consumed here}}
  %0 = llm.fork %kv, %s, %s : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  // (USE-1)
  // expected-error @+1 {{'llm.free_kv_cache' op consumes a cache that was consumed before}}
  llm.free_kv_cache %kv : !kv
  return %0 : !kv
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>) -> tensor<?xi32> {
  // expected-note @+1 {{consumed here}}
  llm.free_kv_cache %kv : !kv
  // (USE-2)
  // expected-error @+1 {{'llm.sequence_lengths' op uses a cache after it was consumed}}
  %0 = llm.sequence_lengths %kv, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  return %0 : tensor<?xi32>
}

// -----

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>, %a: index, %b: index) {
  // expected-note @+1 {{the loop is here; carry the cache through it}}
  scf.for %i = %a to %b step %b {
    // (USE-3)
    // expected-error @+1 {{'llm.rollback' op consumes in a loop a cache that is defined outside it}}
    %0 = llm.rollback %kv, %s, %s : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  }
  return
}
