// RUN: llmir-opt %s --llm-fuse-projections --split-input-file | FileCheck %s
// RUN: llmir-opt %s --llm-fuse-projections --split-input-file --llm-pass-statistics -o /dev/null 2>&1 | FileCheck %s --check-prefix=STATISTICS

// STATISTICS: llm-fuse-projections: 1 gates-fused
// STATISTICS: llm-fuse-projections: 11 projections-concatenated

// The new weights stand where the first sources stood; the ragged results keep their shapes.
// CHECK: llm.weight @blk.0.attn_norm.weight
// CHECK-NEXT: llm.weight @blk.0.attn_qkv.weight sources(["blk.0.attn_q.weight", "blk.0.attn_k.weight", "blk.0.attn_v.weight"]) source_rows([64, 32, 32]) : tensor<128x64xf16>
// CHECK-NEXT: llm.weight @blk.0.ffn_gate_up.weight sources(["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"]) arrangement({{ ?}}interleave) : !llm.quantized_tensor<i4, [192, 64], false, true, 1, 32, 4, scale = f16, zero_point = f16>
// CHECK-NEXT: llm.weight @last
llm.weight @blk.0.attn_norm.weight : tensor<64xf32>
llm.weight @blk.0.attn_q.weight : tensor<64x64xf16>
llm.weight @blk.0.attn_k.weight : tensor<32x64xf16>
llm.weight @blk.0.attn_v.weight : tensor<32x64xf16>
llm.weight @blk.0.ffn_gate.weight : !llm.quantized_tensor<i4, [96, 64], false, true, 1, 32, 4, scale = f16, zero_point = f16>
llm.weight @blk.0.ffn_up.weight : !llm.quantized_tensor<i4, [96, 64], false, true, 1, 32, 4, scale = f16, zero_point = f16>
llm.weight @last : tensor<64xf32>

// CHECK-LABEL: func.func @layer
// CHECK-SAME: %[[X:.*]]: tensor<?x64xf32>
func.func @layer(%x: tensor<?x64xf32>)
    -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x32xf32>, tensor<?x96xf32>) {
  // CHECK: %[[QKV:.*]]:3 = llm.linear %[[X]], @blk.0.attn_qkv.weight : (tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x32xf32>)
  // CHECK-NEXT: %[[H:.*]] = llm.linear %[[X]], @blk.0.ffn_gate_up.weight epilogue({{ ?}}swiglu) : (tensor<?x64xf32>) -> tensor<?x96xf32>
  // CHECK-NEXT: return %[[QKV]]#0, %[[QKV]]#1, %[[QKV]]#2, %[[H]]
  %q = llm.linear %x, @blk.0.attn_q.weight : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  %k = llm.linear %x, @blk.0.attn_k.weight : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %v = llm.linear %x, @blk.0.attn_v.weight : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %gate = llm.linear %x, @blk.0.ffn_gate.weight : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %up = llm.linear %x, @blk.0.ffn_up.weight : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %h = llm.swiglu %gate, %up : tensor<?x96xf32>
  return %q, %k, %v, %h
      : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x32xf32>, tensor<?x96xf32>
}

// -----

// Weights of different types are fused with their like only, in mixed checkpoints.
// CHECK: llm.weight @attn_qk sources(["attn_q", "attn_k"]) source_rows([32, 32])
// CHECK: llm.weight @attn_v : tensor<32x64xf16>
llm.weight @attn_q : tensor<32x64xf32>
llm.weight @attn_k : tensor<32x64xf32>
llm.weight @attn_v : tensor<32x64xf16>
// CHECK-LABEL: func.func @mixed
func.func @mixed(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: llm.linear %{{.*}}, @attn_qk :
  // CHECK: llm.linear %{{.*}}, @attn_v :
  %q = llm.linear %x, @attn_q : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %k = llm.linear %x, @attn_k : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %v = llm.linear %x, @attn_v : (tensor<?x64xf32>) -> tensor<?x32xf32>
  return %q, %k, %v : tensor<?x32xf32>, tensor<?x32xf32>, tensor<?x32xf32>
}

// -----

// Left alone: projections with a bias.
// CHECK: llm.weight @a :
// CHECK: llm.weight @b :
llm.weight @a : tensor<64x64xf32>
llm.weight @b : tensor<64x64xf32>
llm.weight @a_bias : tensor<64xf32>
llm.weight @b_bias : tensor<64xf32>
// CHECK-LABEL: func.func @biased
func.func @biased(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  // CHECK-COUNT-2: llm.linear
  // CHECK: llm.swiglu
  %0 = llm.linear %x, @a bias(@a_bias) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = llm.linear %x, @b bias(@b_bias) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %2 = llm.swiglu %0, %1 : tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// -----

// Left alone: other inputs, a weight with another user, a residual, a norm that only one has.
// CHECK: llm.weight @a
// CHECK-NEXT: llm.weight @b
// CHECK-NEXT: llm.weight @c
// CHECK-NEXT: llm.weight @d
llm.weight @a : tensor<64x64xf32>
llm.weight @b : tensor<64x64xf32>
llm.weight @c : tensor<64x64xf32>
llm.weight @d : tensor<64x64xf32>
llm.weight @norm : tensor<64xf32>
// CHECK-LABEL: func.func @unlike
func.func @unlike(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>, %tokens: tensor<?xi32>)
    -> (tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>) {
  // CHECK-COUNT-4: llm.linear
  %0 = llm.linear %x, @a : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %1 = llm.linear %x, @b residual(%x) : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %2 = llm.linear %y, @c norm(@norm, 1.0e-5) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %3 = llm.linear %y, @d : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %4 = llm.embedding %tokens, @a : tensor<?xi32> -> tensor<?x64xf32>
  return %0, %1, %2, %3, %4
      : tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// Names of unlike form are joined by a plus sign, and names that are taken are not used.
// CHECK: llm.weight @"left.w+right" sources(["left.w", "right"]) source_rows([24, 32]) : tensor<56x64xf32>
// CHECK: llm.weight @w_ab_0 sources(["w_a", "w_b"])
llm.weight @left.w : tensor<24x64xf32>
llm.weight @right : tensor<32x64xf32>
llm.weight @w_a : tensor<8x64xbf16>
llm.weight @w_b : tensor<8x64xbf16>
llm.weight @w_ab : tensor<8x64xbf16>
// CHECK-LABEL: func.func @names
func.func @names(%x: tensor<?x64xf32>)
    -> (tensor<?x24xf32>, tensor<?x32xf32>, tensor<?x8xf32>, tensor<?x8xf32>) {
  // CHECK: llm.linear %{{.*}}, @"left.w+right" :
  // CHECK: llm.linear %{{.*}}, @w_ab_0 :
  %0 = llm.linear %x, @left.w : (tensor<?x64xf32>) -> tensor<?x24xf32>
  %1 = llm.linear %x, @right : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %2 = llm.linear %x, @w_a : (tensor<?x64xf32>) -> tensor<?x8xf32>
  %3 = llm.linear %x, @w_b : (tensor<?x64xf32>) -> tensor<?x8xf32>
  return %0, %1, %2, %3 : tensor<?x24xf32>, tensor<?x32xf32>, tensor<?x8xf32>, tensor<?x8xf32>
}

// -----

// A gate that something else reads, too, is concatenated, not interleaved.
// CHECK: llm.weight @gate_up sources(["gate", "up"]) source_rows([32, 32])
llm.weight @gate : tensor<32x64xf32>
llm.weight @up : tensor<32x64xf32>
// CHECK-LABEL: func.func @shared_gate
func.func @shared_gate(%x: tensor<?x64xf32>) -> (tensor<?x32xf32>, tensor<?x32xf32>) {
  // CHECK: %[[GU:.*]]:2 = llm.linear
  // CHECK: llm.swiglu %[[GU]]#0, %[[GU]]#1
  %gate = llm.linear %x, @gate : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %up = llm.linear %x, @up : (tensor<?x64xf32>) -> tensor<?x32xf32>
  %h = llm.swiglu %gate, %up : tensor<?x32xf32>
  return %gate, %h : tensor<?x32xf32>, tensor<?x32xf32>
}
