// llm-check-cache-uses refuses these, with a note at the consumer, one case a message.
// RUN: llmir-opt %s --llm-check-cache-uses --split-input-file --verify-diagnostics

// Consumed in one arm, used after the arms join.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.cond_br %c, ^a, ^b
^a:
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^b
^b:
  // (USE-4)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %kv : !kv
}

// -----

// Consumed twice on one path.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^a
^a:
  // (USE-4)
  // expected-error @+1 {{'llm.store_kv' op consumes a cache that was consumed before}}
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  return %1 : !kv
}

// -----

// Consumed in an arm and again after it.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  scf.if %c {
    // expected-note @+1 {{consumed here}}
    %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  }
  // (USE-4)
  // expected-error @+1 {{'llm.store_kv' op consumes a cache that was consumed before}}
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  return %1 : !kv
}

// -----

// A loop of branches that consumes the same cache each time.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.br ^body
^body:
  // expected-note @+3 {{consumed here, in an earlier iteration}}
  // (USE-5)
  // expected-error @+1 {{'llm.store_kv' op consumes a cache again in a loop}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.cond_br %c, ^body, ^end
^end:
  return %0 : !kv
}

// -----

// A read that an earlier iteration's consumer precedes.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  cf.br ^body
^body:
  // (USE-4)
  // expected-error @+1 {{'llm.block_table' op uses a cache after it was consumed}}
  %t2 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  cf.cond_br %c, ^a, ^end
^a:
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^body
^end:
  %new = llm.create_kv_cache %n : !kv
  return %new : !kv
}

// -----

// Another name of the cache, after a branch handed it on.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.br ^a(%kv : !kv)
^a(%other: !kv):
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %other, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  // (USE-4)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %kv : !kv
}

// -----

// A loop consumes its argument, which is the first cache at the start.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  %r = scf.for %i = %n to %n step %n iter_args(%current = %kv) -> !kv {
    // expected-note @+1 {{consumed here}}
    %0 = llm.store_kv %current, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    scf.yield %0 : !kv
  }
  // (USE-4)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %kv : !kv
}

// -----

// A loop that hands the consumed cache to its next iteration.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.br ^body(%kv : !kv)
^body(%current: !kv):
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %current, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^next
^next:
  // (USE-4)
  // expected-error @+1 {{'cf.cond_br' op uses a cache after it was consumed}}
  cf.cond_br %c, ^body(%current : !kv), ^end
^end:
  return %0 : !kv
}

// -----

// One of two caches, chosen by a select.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  %other = llm.create_kv_cache %n : !kv
  %chosen = arith.select %c, %kv, %other : !kv
  // expected-note @+1 {{consumed here}}
  %0 = llm.store_kv %chosen, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  // (USE-4)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %other : !kv
}

// -----

// A call takes its cache.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
func.func private @callee(!kv)

func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  // expected-note @+1 {{consumed here}}
  call @callee(%kv) : (!kv) -> ()
  // (USE-4)
  // expected-error @+1 {{'func.return' op uses a cache after it was consumed}}
  return %kv : !kv
}

// -----

// Forked in one arm, rolled back after it.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>, %c: i1) -> !kv {
  scf.if %c {
    // expected-note @+1 {{consumed here}}
    %0 = llm.fork %kv, %s, %s : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  }
  // (USE-4)
  // expected-error @+1 {{'llm.rollback' op consumes a cache that was consumed before}}
  %1 = llm.rollback %kv, %s, %s : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %1 : !kv
}

// -----

// Committed again by going around a loop.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>, %c: i1) -> !kv {
  cf.br ^body
^body:
  // expected-note @+3 {{consumed here, in an earlier iteration}}
  // (USE-5)
  // expected-error @+1 {{'llm.commit' op consumes a cache again in a loop}}
  %0 = llm.commit %kv, %s, %s, %s : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> !kv
  cf.cond_br %c, ^body, ^end
^end:
  return %0 : !kv
}

// -----

// Given back in one block and again in the next.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %c: i1) {
  cf.cond_br %c, ^a, ^b
^a:
  // expected-note @+1 {{consumed here}}
  llm.free_kv_cache %kv : !kv
  cf.br ^b
^b:
  // (USE-4)
  // expected-error @+1 {{'llm.free_kv_cache' op consumes a cache that was consumed before}}
  llm.free_kv_cache %kv : !kv
  return
}

// -----

// The lengths of sequences that a loop's first iteration ended.
!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

func.func @f(%kv: !kv, %s: tensor<?xi32>, %n: index) -> tensor<?xi32> {
  %r = scf.for %i = %n to %n step %n iter_args(%current = %kv) -> !kv {
    // expected-note @+1 {{consumed here}}
    %0 = llm.free_sequences %current, %s : (!kv, tensor<?xi32>) -> !kv
    scf.yield %0 : !kv
  }
  // (USE-4)
  // expected-error @+1 {{'llm.sequence_lengths' op uses a cache after it was consumed}}
  %l = llm.sequence_lengths %kv, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  return %l : tensor<?xi32>
}
