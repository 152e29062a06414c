// A function is refused when neither the CPU nor the GPU has code for it, and not when one has.
// RUN: llmir-opt %s --llm-check-lowerable --split-input-file --verify-diagnostics --llm-pass-statistics -o /dev/null

// Only the GPU has norms outside a step.
llm.weight @w : tensor<64xf32>
func.func @gpu(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %y = llm.rms_norm %x, @w epsilon(1.0e-5) : tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// Only the CPU stores pairs, for now.
!pairs = !llm.paged_kv_cache<bf16, 2, 2, 64, 16, 4096, layout = pairs>
func.func @cpu(%kv0: !pairs, %k: tensor<?x2x64xf32>, %slots: tensor<?xi32>) -> !pairs {
  %kv1 = llm.store_kv %kv0, %k, %k, %slots : (!pairs, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !pairs
  return %kv1 : !pairs
}

// Nothing of the dialect.
func.func @other(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}

// -----

!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func @neither(%kv0: !kv, %seqs: tensor<?xi32>) -> !kv {
  // expected-error @+1 {{'llm.fork' op cannot be lowered outside a step}}
  %kv = llm.fork %kv0, %seqs, %seqs : (!kv, tensor<?xi32>, tensor<?xi32>) -> !kv
  return %kv : !kv
}

// -----

// A function without ops of the dialect that passes a tensor to one with some is converted with it,
// so that it may not compute with tensors either.
!kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 4096>
func.func private @table(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = llm.block_table %kv, %seqs : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  return %table : tensor<?x?xi32>
}
func.func private @callee(%table: tensor<?x?xi32>) -> tensor<?x?xi32> {
  // expected-error @+1 {{'arith.addi' op expected scalars or buffers}}
  %sum = arith.addi %table, %table : tensor<?x?xi32>
  return %sum : tensor<?x?xi32>
}
func.func @caller(%kv: !kv, %seqs: tensor<?xi32>) -> tensor<?x?xi32> {
  %table = call @table(%kv, %seqs) : (!kv, tensor<?xi32>) -> tensor<?x?xi32>
  %sum = call @callee(%table) : (tensor<?x?xi32>) -> tensor<?x?xi32>
  return %sum : tensor<?x?xi32>
}
