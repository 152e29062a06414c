// What cannot be lowered to a GPU: one message each.
// RUN: llmir-opt %s --convert-llm-to-gpu --split-input-file --verify-diagnostics
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu=subgroup-size=16 2>&1 | FileCheck %s --check-prefix=SUBGROUP
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu=split-tokens=100 2>&1 | FileCheck %s --check-prefix=SPLIT
// RUN: not llmir-opt %llmir_src_root/examples/kv_cache.mlir --convert-llm-to-gpu=workgroup-memory=1024 2>&1 | FileCheck %s --check-prefix=MEMORY

// SUBGROUP: error: expected 'subgroup-size' to be 32 or 64, but got 16
// SPLIT: error: expected 'split-tokens' to be a multiple of 128, but got 100
// MEMORY: error: 'llm.paged_attention' op expected a target with 1808 bytes of workgroup memory, but got 1024

// Ops without a kernel.
llm.weight @w : tensor<64x64xf16>
func.func @linear(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{'llm.linear' op cannot be lowered to a GPU; expected llm.append_kv, llm.reserve_kv, llm.store_kv, llm.block_table, llm.paged_attention or llm.rms_norm}}
  %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
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
