// What cannot be lowered outside a step: one message each.
// RUN: llmir-opt %s --convert-llm-to-cpu=features=avx2,fma,f16c --split-input-file --verify-diagnostics
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-cpu=features=sse2 2>&1 | FileCheck %s --check-prefix=FEATURE

// FEATURE: error: expected a target with the feature 'avx2'
// FEATURE-NOT: error:

// Ops that only a step may have, or none yet.
llm.weight @w : tensor<64x64xf16>
func.func @linear(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{'llm.linear' op cannot be lowered outside a step; expected llm.append_kv, llm.reserve_kv, llm.store_kv, llm.block_table, llm.paged_attention or llm.attention}}
  %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

// Reading a cache back.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @lookup(%kv: !kv, %table: tensor<2x128xi32>, %lens: tensor<2xi32>) -> tensor<2x?x16x64xf16> {
  // expected-error @+1 {{'llm.lookup_kv' op cannot be lowered outside a step; expected llm.append_kv, llm.reserve_kv, llm.store_kv, llm.block_table, llm.paged_attention or llm.attention}}
  %k, %v = llm.lookup_kv %kv, %table, %lens : (!kv, tensor<2x128xi32>, tensor<2xi32>)
      -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
  return %k : tensor<2x?x16x64xf16>
}

// -----

// Making a cache.
!kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
func.func @create(%blocks: index) -> !kv {
  // expected-error @+1 {{'llm.create_kv_cache' op cannot be lowered outside a step; expected llm.append_kv, llm.reserve_kv, llm.store_kv, llm.block_table, llm.paged_attention or llm.attention}}
  %kv = llm.create_kv_cache %blocks : !kv
  return %kv : !kv
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
