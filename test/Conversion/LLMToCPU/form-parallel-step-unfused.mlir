// Ops that nothing was folded into lower too: norms, gates and residuals of their own, plain
// weights, a frequency table, a bias.
// RUN: llmir-opt %s --llm-choose-packed-layouts --llm-form-parallel-step=features=avx2,fma,f16c | FileCheck %s

!kv = !llm.paged_kv_cache<f32, 1, 1, 32, 16, 128>

llm.weight @embd : tensor<96x64xf16>
llm.weight @norm : tensor<64xf32>
llm.weight @q : tensor<64x64xbf16>
llm.weight @q_bias : tensor<64xf32>
llm.weight @k : tensor<32x64xf32>
llm.weight @v : tensor<32x64xf32>
llm.weight @o : tensor<64x64xf16>
llm.weight @gate : tensor<96x64xf32>
llm.weight @up : tensor<96x64xf32>
llm.weight @down : tensor<64x96xf32>
llm.weight @factors : tensor<16xf32>

// CHECK: func.func @llmir_model_step
// CHECK: call @rope_table_
// CHECK: call @embedding_96x64
// CHECK: call @norm_
// CHECK: call @linear_bf16_{{.*}}64x64
// CHECK: call @linear_f32_{{.*}}32x64
// CHECK: call @linear_f32_{{.*}}32x64
// CHECK: call @rope_half_2x32_32
// CHECK: call @rope_half_1x32_32
// CHECK: call @store_kv_f32
// CHECK: call @attention_2_f32
// CHECK: call @linear_f16_{{.*}}64x64
// CHECK: call @add
// CHECK: call @linear_f32_{{.*}}96x64
// CHECK: call @linear_f32_{{.*}}96x64
// CHECK: call @swiglu
// CHECK: call @linear_f32_{{.*}}64x96
// CHECK: call @add
// CHECK: call @gather
// CHECK: call @linear_f16_{{.*}}96x64
func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>
  %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q = llm.linear %n, @q bias(@q_bias) : (tensor<?x64xf32>) -> tensor<?x2x32xf32>
  %k = llm.linear %n, @k : (tensor<?x64xf32>) -> tensor<?x1x32xf32>
  %v = llm.linear %n, @v : (tensor<?x64xf32>) -> tensor<?x1x32xf32>
  %r:2 = llm.rope %q, %k positions(%positions) theta(1.0e+4) rotary_dim(32) half frequency_factors(@factors)
      : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %kv1 = llm.store_kv %kv, %r#1, %v, %slots
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a = llm.paged_attention %r#0, %kv1, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %p = llm.linear %a, @o : (tensor<?x2x32xf32>) -> tensor<?x64xf32>
  %y = arith.addf %x, %p : tensor<?x64xf32>
  %g = llm.linear %y, @gate : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %u = llm.linear %y, @up : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %s = llm.swiglu %g, %u : tensor<?x96xf32>
  %d = llm.linear %s, @down : (tensor<?x96xf32>) -> tensor<?x64xf32>
  %z = arith.addf %y, %d : tensor<?x64xf32>
  %logits = llm.logits %z, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv1 : tensor<?x96xf32>, !kv
}
