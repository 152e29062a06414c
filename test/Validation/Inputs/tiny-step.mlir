// Two layers of SmolLM2's form, small: grouped heads, tied head, everything plain and unfused.
!kv = !llm.paged_kv_cache<f32, 2, 2, 16, 8, 128>

llm.weight @embd : tensor<50x64xf32>
llm.weight @l0.attn_norm : tensor<64xf32>
llm.weight @l0.q : tensor<64x64xf32>
llm.weight @l0.k : tensor<32x64xf32>
llm.weight @l0.v : tensor<32x64xf32>
llm.weight @l0.o : tensor<64x64xf32>
llm.weight @l0.ffn_norm : tensor<64xf32>
llm.weight @l0.gate : tensor<96x64xf32>
llm.weight @l0.up : tensor<96x64xf32>
llm.weight @l0.down : tensor<64x96xf32>
llm.weight @l1.attn_norm : tensor<64xf32>
llm.weight @l1.q : tensor<64x64xf32>
llm.weight @l1.k : tensor<32x64xf32>
llm.weight @l1.v : tensor<32x64xf32>
llm.weight @l1.o : tensor<64x64xf32>
llm.weight @output_norm : tensor<64xf32>

func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu_lengths: tensor<?xi32>, %context_lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
    %table: tensor<?x?xi32>, %rows: tensor<?xi32>) -> (tensor<?x50xf32>, !kv) attributes {llm.step} {
  %x0 = llm.embedding %tokens, @embd : tensor<?xi32> -> tensor<?x64xf32>

  %n0 = llm.rms_norm %x0, @l0.attn_norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q0 = llm.linear %n0, @l0.q : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  %k0 = llm.linear %n0, @l0.k : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %v0 = llm.linear %n0, @l0.v : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %r0:2 = llm.rope %q0, %k0 positions(%positions) theta(1.0e+4) rotary_dim(16) interleaved
      : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>
  %kv0 = llm.store_kv %kv, %r0#1, %v0, %slots {layer = 0 : i32}
      : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>) -> !kv
  %a0 = llm.paged_attention %r0#0, %kv0, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32, layer = 0 : i32}
      : (tensor<?x4x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  %p0 = llm.linear %a0, @l0.o : (tensor<?x4x16xf32>) -> tensor<?x64xf32>
  %y0 = arith.addf %x0, %p0 : tensor<?x64xf32>
  %m0 = llm.rms_norm %y0, @l0.ffn_norm epsilon(1.0e-5) : tensor<?x64xf32>
  %g0 = llm.linear %m0, @l0.gate : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %u0 = llm.linear %m0, @l0.up : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %h0 = llm.swiglu %g0, %u0 : tensor<?x96xf32>
  %d0 = llm.linear %h0, @l0.down : (tensor<?x96xf32>) -> tensor<?x64xf32>
  %x1 = arith.addf %y0, %d0 : tensor<?x64xf32>

  %n1 = llm.rms_norm %x1, @l1.attn_norm epsilon(1.0e-5) : tensor<?x64xf32>
  %q1 = llm.linear %n1, @l1.q : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
  %k1 = llm.linear %n1, @l1.k : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %v1 = llm.linear %n1, @l1.v : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
  %r1:2 = llm.rope %q1, %k1 positions(%positions) theta(1.0e+4) rotary_dim(16) interleaved
      : tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>
  %kv1 = llm.store_kv %kv0, %r1#1, %v1, %slots {layer = 1 : i32}
      : (!kv, tensor<?x2x16xf32>, tensor<?x2x16xf32>, tensor<?xi32>) -> !kv
  %a1 = llm.paged_attention %r1#0, %kv1, %table, %context_lengths cu_lengths(%cu_lengths)
      {num_heads = 4 : i32, head_dim = 16 : i32, scale = 0.25 : f32, layer = 1 : i32}
      : (tensor<?x4x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x4x16xf32>
  %p1 = llm.linear %a1, @l1.o : (tensor<?x4x16xf32>) -> tensor<?x64xf32>
  %x2 = arith.addf %x1, %p1 : tensor<?x64xf32>

  %n2 = llm.rms_norm %x2, @output_norm epsilon(1.0e-5) : tensor<?x64xf32>
  %logits = llm.logits %n2, %rows, @embd : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x50xf32>
  return %logits, %kv1 : tensor<?x50xf32>, !kv
}
