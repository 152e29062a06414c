// What cannot be lowered outside a step: one message each.
// RUN: llmir-opt %s --convert-llm-to-cpu=features=avx2,fma,f16c --split-input-file --verify-diagnostics
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-cpu=features=sse2 2>&1 | FileCheck %s --check-prefix=FEATURE

// FEATURE: error: expected a target with the feature 'avx2'
// FEATURE-NOT: error:

// Ops that only a step may have, or none yet.
llm.weight @w : tensor<64x64xf16>
func.func @linear(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{'llm.linear' op cannot be lowered outside a step; expected llm.append_kv, llm.attention, llm.block_table, llm.create_kv_cache, llm.free_kv_cache, llm.lookup_kv, llm.paged_attention, llm.reserve_kv or llm.store_kv}}
  %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Branches of a cache.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @fork(%kv: !kv, %seqs: tensor<2xi32>) -> !kv {
  // expected-error @+1 {{'llm.fork' op cannot be lowered outside a step}}
  %kv1 = llm.fork %kv, %seqs, %seqs : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
  return %kv1 : !kv
}

// -----

// Other ops on tensors.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @tensors(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  // expected-error @+1 {{'arith.addi' op expected scalars or buffers, as scf, func and llm ops alone take tensors and caches in a function over a cache, but got 'tensor<?x?xi32>'}}
  %sum = arith.addi %table, %table : tensor<?x?xi32>
  return %sum : tensor<?x?xi32>
}

// -----

// Unstructured control flow.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
// expected-error @+1 {{'func.func' op over a cache is expected to have one block, with scf for control flow, but it has 2}}
func.func @blocks(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  cf.br ^next
^next:
  return %table : tensor<?x?xi32>
}
