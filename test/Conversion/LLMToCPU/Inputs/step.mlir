// A fused step of three layers that are alike, as llm-optimization-pipeline leaves it but for the
// places of its weights: 64 wide, 2 query heads over 1 KV head, Q4_0 projections, a tied Q8_0 head.

!kv = !llm.paged_kv_cache<f16, 3, 1, 32, 16, 128>
!qkv = !llm.quantized_tensor<i4, [128, 64], true, true, 1, 32, 4, scale = f16>
!o = !llm.quantized_tensor<i4, [64, 64], true, true, 1, 32, 4, scale = f16>
!gate_up = !llm.quantized_tensor<i4, [192, 64], true, true, 1, 32, 4, scale = f16>
!down = !llm.quantized_tensor<i4, [64, 96], true, true, 1, 32, 4, scale = f16>

llm.weight @embd : !llm.quantized_tensor<i8, [96, 64], true, true, 1, 32, 8, scale = f16>
llm.weight @l0.attn_norm : tensor<64xf32>
llm.weight @l0.qkv sources(["l0.q", "l0.k", "l0.v"]) source_rows([64, 32, 32]) : !qkv
llm.weight @l0.o : !o
llm.weight @l0.ffn_norm : tensor<64xf32>
llm.weight @l0.gate_up sources(["l0.gate", "l0.up"]) arrangement(interleave) : !gate_up
llm.weight @l0.down : !down
llm.weight @l1.attn_norm : tensor<64xf32>
llm.weight @l1.qkv sources(["l1.q", "l1.k", "l1.v"]) source_rows([64, 32, 32]) : !qkv
llm.weight @l1.o : !o
llm.weight @l1.ffn_norm : tensor<64xf32>
llm.weight @l1.gate_up sources(["l1.gate", "l1.up"]) arrangement(interleave) : !gate_up
llm.weight @l1.down : !down
llm.weight @l2.attn_norm : tensor<64xf32>
llm.weight @l2.qkv sources(["l2.q", "l2.k", "l2.v"]) source_rows([64, 32, 32]) : !qkv
llm.weight @l2.o : !o
llm.weight @l2.ffn_norm : tensor<64xf32>
llm.weight @l2.gate_up sources(["l2.gate", "l2.up"]) arrangement(interleave) : !gate_up
llm.weight @l2.down : !down
llm.weight @output_norm : tensor<64xf32>

func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x96xf32>, !kv) attributes {llm.step} {
  %x0 = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>

  %qkv0:3 = llm.linear %x0, @l0.qkv norm(@l0.attn_norm, 1.0e-5) activations(i8)
      : (tensor<?x64xf32>) -> (tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?x1x32xf32>)
  %r0:2 = llm.rope %qkv0#0, %qkv0#1 positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved
      : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %kv0 = llm.store_kv %kv, %r0#1, %qkv0#2, %slots {layer = 0 : i32}
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a0 = llm.paged_attention %r0#0, %kv0, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32, layer = 0 : i32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %y0 = llm.linear %a0, @l0.o activations(i8) residual(%x0)
      : (tensor<?x2x32xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %g0 = llm.linear %y0, @l0.gate_up norm(@l0.ffn_norm, 1.0e-5) activations(i8) epilogue(swiglu)
      : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %x1 = llm.linear %g0, @l0.down activations(i8) residual(%y0)
      : (tensor<?x96xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>

  %qkv1:3 = llm.linear %x1, @l1.qkv norm(@l1.attn_norm, 1.0e-5) activations(i8)
      : (tensor<?x64xf32>) -> (tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?x1x32xf32>)
  %r1:2 = llm.rope %qkv1#0, %qkv1#1 positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved
      : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %kv1 = llm.store_kv %kv0, %r1#1, %qkv1#2, %slots {layer = 1 : i32}
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a1 = llm.paged_attention %r1#0, %kv1, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32, layer = 1 : i32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %y1 = llm.linear %a1, @l1.o activations(i8) residual(%x1)
      : (tensor<?x2x32xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %g1 = llm.linear %y1, @l1.gate_up norm(@l1.ffn_norm, 1.0e-5) activations(i8) epilogue(swiglu)
      : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %x2 = llm.linear %g1, @l1.down activations(i8) residual(%y1)
      : (tensor<?x96xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>

  %qkv2:3 = llm.linear %x2, @l2.qkv norm(@l2.attn_norm, 1.0e-5) activations(i8)
      : (tensor<?x64xf32>) -> (tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?x1x32xf32>)
  %r2:2 = llm.rope %qkv2#0, %qkv2#1 positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved
      : tensor<?x2x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>
  %kv2 = llm.store_kv %kv1, %r2#1, %qkv2#2, %slots {layer = 2 : i32}
      : (!kv, tensor<?x1x32xf32>, tensor<?x1x32xf32>, tensor<?xi32>) -> !kv
  %a2 = llm.paged_attention %r2#0, %kv2, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 2 : i32, head_dim = 32 : i32, scale = 0.25 : f32, layer = 2 : i32}
      : (tensor<?x2x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x32xf32>
  %y2 = llm.linear %a2, @l2.o activations(i8) residual(%x2)
      : (tensor<?x2x32xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  %g2 = llm.linear %y2, @l2.gate_up norm(@l2.ffn_norm, 1.0e-5) activations(i8) epilogue(swiglu)
      : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %x3 = llm.linear %g2, @l2.down activations(i8) residual(%y2)
      : (tensor<?x96xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>

  %logits = llm.logits %x3, %rows, @embd norm(@output_norm, 1.0e-5) activations(i8)
      : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x96xf32>
  return %logits, %kv2 : tensor<?x96xf32>, !kv
}
