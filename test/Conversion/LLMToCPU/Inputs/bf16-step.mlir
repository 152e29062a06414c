// A step of one product of bf16 weights and bf16 activations, of an odd number of columns, and one of
// a gate and an up weight with a residual.

llm.weight @input : tensor<8x75xf32>
llm.weight @wide : tensor<160x75xbf16>
llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<192x160xbf16>
llm.weight @head : tensor<40x96xbf16>

func.func @step(%context: !llm.step_context, %tokens: tensor<?xi32>, %positions: tensor<?xi32>,
    %cu: tensor<?xi32>, %lens: tensor<?xi32>, %rows: tensor<?xi32>) -> tensor<?x40xf32>
    attributes {llm.step} {
  %x = llm.embedding %tokens, @input : tensor<?xi32> -> tensor<?x75xf32>
  %y = llm.linear %x, @wide activations(bf16) : (tensor<?x75xf32>) -> tensor<?x160xf32>
  %g = llm.linear %y, @gate_up activations(bf16) epilogue(swiglu)
      : (tensor<?x160xf32>) -> tensor<?x96xf32>
  %logits = llm.logits %g, %rows, @head activations(bf16)
      : (tensor<?x96xf32>, tensor<?xi32>) -> tensor<?x40xf32>
  return %logits : tensor<?x40xf32>
}
