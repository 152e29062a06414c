// What cannot be divided among ranks: an error at the op at fault, with the numbers.
// RUN: llmir-opt %s --llm-shard-model=world-size=2 --split-input-file --verify-diagnostics

!kv = !llm.paged_kv_cache<f16, 1, 1, 16, 16, 128>
func.func @kv_heads(%context: !llm.step_context, %q: tensor<?x2x16xf32>, %kv: !kv,
    %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>) attributes {llm.step} {
  // expected-error @+1 {{expected 2 ranks to divide the 1 KV heads of its cache among them}}
  %a = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 2 : i32, head_dim = 16 : i32, scale = 0.25 : f32}
      : (tensor<?x2x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x16xf32>
  return
}

// -----

!kv = !llm.paged_kv_cache<f16, 1, 2, 16, 16, 128>
func.func @not_projected(%context: !llm.step_context, %q: tensor<?x2x16xf32>, %kv: !kv,
    %table: tensor<?x?xi32>, %lens: tensor<?xi32>, %cu: tensor<?xi32>) attributes {llm.step} {
  // expected-error @+1 {{expected its operands to come from projections (llm.linear), which can be divided among 2 ranks}}
  %a = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
      {num_heads = 2 : i32, head_dim = 16 : i32, scale = 0.25 : f32}
      : (tensor<?x2x16xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>) -> tensor<?x2x16xf32>
  return
}

// -----

llm.weight @gate : tensor<63x64xf32>
func.func @features(%context: !llm.step_context, %x: tensor<?x64xf32>) attributes {llm.step} {
  %g = llm.linear %x, @gate : (tensor<?x64xf32>) -> tensor<?x63xf32>
  // expected-error @+1 {{expected 2 ranks to divide dimension 1 of 'tensor<?x63xf32>' among them}}
  %h = llm.swiglu %g, %g : tensor<?x63xf32>
  return
}

// -----

llm.weight @gate : tensor<96x64xf32>
llm.weight @down : !llm.quantized_tensor<i8, [64, 96], true, true, 1, 32, 8, scale = f16>
func.func @groups(%context: !llm.step_context, %x: tensor<?x64xf32>) attributes {llm.step} {
  %g = llm.linear %x, @gate : (tensor<?x64xf32>) -> tensor<?x96xf32>
  %h = llm.swiglu %g, %g : tensor<?x96xf32>
  // expected-error @+1 {{expected each of 2 ranks to get whole groups of 32 of the 96 columns of @down, but each would get 48}}
  %y = llm.linear %h, @down : (tensor<?x96xf32>) -> tensor<?x64xf32>
  return
}

// -----

llm.weight @gate : tensor<64x64xf32>
llm.weight @norm : tensor<64xf32>
func.func @reader(%context: !llm.step_context, %x: tensor<?x64xf32>) -> tensor<?x64xf32>
    attributes {llm.step} {
  %g = llm.linear %x, @gate : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %h = llm.swiglu %g, %g : tensor<?x64xf32>
  // expected-error @+1 {{cannot work on a rank's part of 'tensor<?x64xf32>'}}
  %n = llm.rms_norm %h, @norm epsilon(1.0e-5) : tensor<?x64xf32>
  return %n : tensor<?x64xf32>
}

// -----

llm.weight @gate_up sources(["gate", "up"]) source_rows([64, 64]) : tensor<128x64xf32>
func.func @fused(%context: !llm.step_context, %x: tensor<?x64xf32>) attributes {llm.step} {
  // expected-error @+1 {{expected a projection of one result and no residual to divide among 2 ranks; shard before projections are fused}}
  %g:2 = llm.linear %x, @gate_up : (tensor<?x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>)
  %h = llm.swiglu %g#0, %g#1 : tensor<?x64xf32>
  return
}

// -----

// expected-error @+1 {{expected the step's context as its first argument}}
func.func @context(%x: tensor<?x64xf32>) attributes {llm.step} {
  return
}
