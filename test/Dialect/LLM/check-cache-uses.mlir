// llm-check-cache-uses accepts these, and changes nothing.
// RUN: llmir-opt %s --llm-check-cache-uses -o %t.mlir
// RUN: llmir-opt %s | diff - %t.mlir
// RUN: llmir-opt %s --llm-check-cache-uses --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: cache-consumers

!kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>

// Arms that exclude each other may each consume.
func.func @arms(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.cond_br %c, ^a, ^b
^a:
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^end(%0 : !kv)
^b:
  %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.br ^end(%1 : !kv)
^end(%2: !kv):
  return %2 : !kv
}

// The same with regions.
func.func @regions(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  %2 = scf.if %c -> !kv {
    %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    scf.yield %0 : !kv
  } else {
    %1 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    scf.yield %1 : !kv
  }
  return %2 : !kv
}

// One arm consumes, the other hands the cache on.
func.func @one_arm(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  %2 = scf.if %c -> !kv {
    %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    scf.yield %0 : !kv
  } else {
    scf.yield %kv : !kv
  }
  return %2 : !kv
}

// A cache that is carried around a loop.
func.func @loop(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  cf.br ^body(%kv : !kv)
^body(%current: !kv):
  %0 = llm.store_kv %current, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.cond_br %c, ^body(%0 : !kv), ^end
^end:
  return %0 : !kv
}

// Two consumers in a loop's body.
func.func @for(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  %r = scf.for %i = %n to %n step %n iter_args(%current = %kv) -> !kv {
    %0 = llm.store_kv %current, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    %1 = llm.store_kv %0, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
    scf.yield %1 : !kv
  }
  return %r : !kv
}

// Reading through a loop argument and then by the first name.
func.func @reads(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  %r = scf.for %i = %n to %n step %n iter_args(%current = %kv) -> !kv {
    %t = llm.block_table %current, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
    scf.yield %current : !kv
  }
  %t2 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %kv : !kv
}

// Reads before the consumer, in another block.
func.func @before(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1) -> !kv {
  %t2 = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  cf.br ^a
^a:
  %0 = llm.store_kv %kv, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  return %0 : !kv
}

// A loop that makes its own cache each time.
func.func @fresh(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %seqs: tensor<?xi32>, %c: i1, %n: index) -> !kv {
  cf.br ^body
^body:
  %new = llm.create_kv_cache %n : !kv
  %0 = llm.store_kv %new, %k, %k, %slots : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
  cf.cond_br %c, ^body, ^end
^end:
  return %0 : !kv
}

// Each arm of a decision about drafts consumes: one commits, one rolls back.
func.func @accept_or_reject(%kv: !kv, %s: tensor<?xi32>, %n: tensor<?xi32>, %c: i1) -> !kv {
  %lengths = llm.sequence_lengths %kv, %s : (!kv, tensor<?xi32>) -> tensor<?xi32>
  %0 = scf.if %c -> !kv {
    %1 = llm.commit %kv, %s, %n, %lengths : (!kv, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> !kv
    scf.yield %1 : !kv
  } else {
    %1 = llm.rollback %kv, %s, %n : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
    scf.yield %1 : !kv
  }
  return %0 : !kv
}
