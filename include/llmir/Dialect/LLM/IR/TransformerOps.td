// The ops of a transformer step that are neither attention nor cache.

#ifndef LLMIR_DIALECT_LLM_IR_TRANSFORMEROPS_TD
#define LLMIR_DIALECT_LLM_IR_TRANSFORMEROPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupTransformer : OpDocGroup {
  let summary = "Transformer";
  let description = [{
    Embeddings, norms, matrix products and what goes with them. All of them treat tokens
    independently, and all are pure.
  }];
}

let opDocGroup = LLM_OpGroupTransformer in {

def LLM_EmbeddingOp : LLM_WeightUserOp<"embedding"> {
  let summary = "Look up the rows of a matrix by token";
  let description = [{
    Row i of the result is row `tokens[i]` of the weight, dequantised.

    ```mlir
    llm.weight @token_embd.weight : tensor<1000x64xf32>
    func.func @f(%tokens: tensor<?xi32>) -> tensor<?x64xf32> {
      %x = llm.embedding %tokens, @token_embd.weight : tensor<?xi32> -> tensor<?x64xf32>
      return %x : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins LLM_Indices:$tokens, FlatSymbolRefAttr:$weight);
  let results = (outs LLM_FeatureTensor:$output);
  let assemblyFormat = [{
    $tokens `,` $weight attr-dict `:` type($tokens) `->` type($output)
  }];
  let hasVerifier = 1;
}

def LLM_RMSNormOp : LLM_WeightUserOp<"rms_norm", [SameOperandsAndResultType]> {
  let summary = "Divide each token by its root mean square and scale it";
  let description = [{
    output = input / sqrt(mean(input^2) + epsilon) * weight, over the features of each token.

    ```mlir
    llm.weight @attn_norm : tensor<64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %n = llm.rms_norm %x, @attn_norm epsilon(1.0e-5) : tensor<?x64xf32>
      return %n : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins LLM_ActivationTensor:$input, FlatSymbolRefAttr:$weight, F32Attr:$epsilon);
  let results = (outs LLM_ActivationTensor:$output);
  let assemblyFormat = [{
    $input `,` $weight `epsilon` `(` $epsilon `)` attr-dict `:` type($input)
  }];
  let hasVerifier = 1;
}

def LLM_LayerNormOp : LLM_WeightUserOp<"layer_norm", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Centre each token, divide it by its standard deviation, scale and shift it";
  let description = [{
    output = (input - mean) / sqrt(variance + epsilon) * weight + bias, over the features of each
    token; the variance is that of the features, not an estimate.

    ```mlir
    llm.weight @norm.weight : tensor<64xf32>
    llm.weight @norm.bias : tensor<64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %n = llm.layer_norm %x, @norm.weight bias(@norm.bias) epsilon(1.0e-5) : tensor<?x64xf32>
      return %n : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ActivationTensor:$input, FlatSymbolRefAttr:$weight, OptionalAttr<FlatSymbolRefAttr>:$bias,
    F32Attr:$epsilon);
  let results = (outs LLM_ActivationTensor:$output);
  let assemblyFormat = [{
    $input `,` $weight (`bias` `(` $bias^ `)`)? `epsilon` `(` $epsilon `)` attr-dict `:`
    type($input)
  }];
  let hasVerifier = 1;
}

def LLM_LinearOp : LLM_WeightUserOp<"linear"> {
  let summary = "Multiply by a weight matrix, with what is fused before and after";
  let description = [{
    output = input * weight^T, where the weight is [output features, input features], plain or
    quantised. The dimensions of input and outputs after the first count as one feature dimension.

    In order, each optional: `norm` applies an RMS norm to the input; `activations` is the type to
    which the input is then converted (`f32`, the default, `bf16`, or `i8` with one scale a group of
    32); `bias` is added to the product; `epilogue(swiglu)` takes a weight of two interleaved
    sources, gate and up, and gives silu(gate) * up; `residual` is added last.

    A weight of several concatenated sources may have one result per source.

    ```mlir
    llm.weight @norm : tensor<64xf32>
    llm.weight @wqkv sources(["q", "k", "v"]) : tensor<128x64xf32>
    llm.weight @wo : tensor<64x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x64xf32>) {
      %q, %k, %v = llm.linear %x, @wqkv norm(@norm, 1.0e-5) activations(i8)
          : (tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>, tensor<?x2x16xf32>)
      %o = llm.linear %q, @wo residual(%x)
          : (tensor<?x4x16xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
      return %q, %o : tensor<?x4x16xf32>, tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ActivationTensor:$input, Optional<LLM_ActivationTensor>:$residual,
    FlatSymbolRefAttr:$weight, OptionalAttr<FlatSymbolRefAttr>:$bias,
    OptionalAttr<FlatSymbolRefAttr>:$norm_weight, OptionalAttr<F32Attr>:$norm_epsilon,
    DefaultValuedAttr<LLM_EpilogueAttr, "::mlir::llm::Epilogue::None">:$epilogue,
    OptionalAttr<TypeAttr>:$activation_type);
  let results = (outs Variadic<LLM_ActivationTensor>:$outputs);
  let assemblyFormat = [{
    $input `,` $weight (`norm` `(` $norm_weight^ `,` $norm_epsilon `)`)?
    (`activations` `(` $activation_type^ `)`)? (`bias` `(` $bias^ `)`)?
    (`epilogue` `(` custom<Keyword>($epilogue)^ `)`)? (`residual` `(` $residual^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let builders = [
    // A plain product.
    OpBuilder<(ins "::mlir::TypeRange":$outputs, "::mlir::Value":$input,
                   "::mlir::FlatSymbolRefAttr":$weight)>
  ];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_RopeOp : LLM_ComputeOp<"rope", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Rotate queries and keys by their positions";
  let description = [{
    Rotates the first `rotary_dim` channels of each head, in pairs, by position * theta^(-2i /
    rotary_dim) for pair i; the others pass through. The style says which channels are a pair. With
    `frequency_factors`, a vector of rotary_dim / 2 elements, pair i's angle is divided by element i.
    `scaling` changes the angles for long sequences.

    Several inputs with the same tokens share one table of angles.

    ```mlir
    func.func @f(%q: tensor<?x9x64xf32>, %k: tensor<?x3x64xf32>, %positions: tensor<?xi32>)
        -> (tensor<?x9x64xf32>, tensor<?x3x64xf32>) {
      %0, %1 = llm.rope %q, %k positions(%positions) theta(1.0e+5) rotary_dim(64) interleaved
          : tensor<?x9x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>
      return %0, %1 : tensor<?x9x64xf32>, tensor<?x3x64xf32>
    }
    ```
  }];
  let arguments = (ins
    Variadic<LLM_HeadsTensor>:$inputs, LLM_Indices:$positions, F32Attr:$theta,
    I32Attr:$rotary_dim, LLM_RopeStyleAttr:$style,
    OptionalAttr<FlatSymbolRefAttr>:$frequency_factors, OptionalAttr<LLM_RopeScalingAttr>:$scaling);
  let results = (outs Variadic<LLM_HeadsTensor>:$outputs);
  let assemblyFormat = [{
    $inputs `positions` `(` $positions `)` `theta` `(` $theta `)` `rotary_dim` `(` $rotary_dim `)`
    custom<Keyword>($style) (`frequency_factors` `(` $frequency_factors^ `)`)?
    (`scaling` `(` $scaling^ `)`)? attr-dict `:` type(operands)
  }];
  let builders = [
    // Without scaling.
    OpBuilder<(ins "::mlir::TypeRange":$outputs, "::mlir::ValueRange":$inputs,
                   "::mlir::Value":$positions, "::llvm::APFloat":$theta, "uint32_t":$rotary_dim,
                   "::mlir::llm::RopeStyle":$style,
                   "::mlir::FlatSymbolRefAttr":$frequency_factors)>
  ];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_SwiGLUOp : LLM_ComputeOp<"swiglu", [SameOperandsAndResultType]> {
  let summary = "Gate one tensor by another: silu(gate) * up";
  let description = [{
    silu(x) = x / (1 + exp(-x)).

    ```mlir
    func.func @f(%gate: tensor<?x64xf32>, %up: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %h = llm.swiglu %gate, %up : tensor<?x64xf32>
      return %h : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins LLM_ActivationTensor:$gate, LLM_ActivationTensor:$up);
  let results = (outs LLM_ActivationTensor:$output);
  let assemblyFormat = "$gate `,` $up attr-dict `:` type($output)";
}

def LLM_GeGLUOp : LLM_ComputeOp<"geglu", [SameOperandsAndResultType]> {
  let summary = "Gate one tensor by another: gelu(gate) * up";
  let description = [{
    `approximation` says how GELU is computed; `tanh` is the default.

    ```mlir
    func.func @f(%gate: tensor<?x64xf32>, %up: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %h = llm.geglu %gate, %up : tensor<?x64xf32>
      return %h : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ActivationTensor:$gate, LLM_ActivationTensor:$up,
    DefaultValuedAttr<LLM_GELUApproximationAttr,
                      "::mlir::llm::GELUApproximation::Tanh">:$approximation);
  let results = (outs LLM_ActivationTensor:$output);
  let assemblyFormat = [{
    $gate `,` $up (`approximation` `(` custom<Keyword>($approximation)^ `)`)? attr-dict `:`
    type($output)
  }];
}

def LLM_MoEOp : LLM_WeightUserOp<"moe", [AllTypesMatch<["input", "output"]>]> {
  let summary = "A gated feed-forward network of which each token uses a few experts";
  let description = [{
    The router, [experts, features], scores the experts for each token; the `experts(k of n)` with the
    highest scores, ties to the lower number, compute down(silu(gate(x)) * up(x)), and the result is
    their sum weighted by score. `normalize` divides the weights of a token by their sum, then
    `scale` multiplies them. `selection_bias` is added to scores for the choice of experts, not for
    their weights.

    The weights of all experts lie one after another: `gate` and `up` are [experts * hidden,
    features], `down` is [experts * features, hidden].

    ```mlir
    llm.weight @router : tensor<4x32xf32>
    llm.weight @gate : tensor<256x32xf32>
    llm.weight @up : tensor<256x32xf32>
    llm.weight @down : tensor<128x64xf32>
    func.func @f(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
      %y = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) normalize
          : tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_FeatureTensor:$input, FlatSymbolRefAttr:$router, FlatSymbolRefAttr:$gate,
    FlatSymbolRefAttr:$up, FlatSymbolRefAttr:$down, I32Attr:$experts_per_token,
    I32Attr:$num_experts,
    DefaultValuedAttr<LLM_RouterScoresAttr, "::mlir::llm::RouterScores::Softmax">:$scores,
    UnitAttr:$normalize, OptionalAttr<F32Attr>:$scale,
    OptionalAttr<FlatSymbolRefAttr>:$selection_bias, OptionalAttr<TypeAttr>:$activation_type);
  let results = (outs LLM_FeatureTensor:$output);
  let assemblyFormat = [{
    $input `router` `(` $router `)` `gate` `(` $gate `)` `up` `(` $up `)` `down` `(` $down `)`
    `experts` `(` $experts_per_token `of` $num_experts `)`
    (`scores` `(` custom<Keyword>($scores)^ `)`)? (`normalize` $normalize^)?
    (`scale` `(` $scale^ `)`)? (`selection_bias` `(` $selection_bias^ `)`)?
    (`activations` `(` $activation_type^ `)`)? attr-dict `:` type($input)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_LogitsOp : LLM_WeightUserOp<"logits"> {
  let summary = "Score the vocabulary for the rows that are asked for";
  let description = [{
    Row i of the result is row `rows[i]` of the input times the transposed weight. `norm` and
    `activations` are as in `llm.linear`. Only rows that somebody reads are computed.

    ```mlir
    llm.weight @output_norm : tensor<64xf32>
    llm.weight @output : tensor<1000x64xf32>
    func.func @f(%x: tensor<?x64xf32>, %rows: tensor<?xi32>) -> tensor<?x1000xf32> {
      %l = llm.logits %x, %rows, @output norm(@output_norm, 1.0e-5) activations(i8)
          : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<?x1000xf32>
      return %l : tensor<?x1000xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_FeatureTensor:$input, LLM_Indices:$rows, FlatSymbolRefAttr:$weight,
    OptionalAttr<FlatSymbolRefAttr>:$norm_weight, OptionalAttr<F32Attr>:$norm_epsilon,
    OptionalAttr<TypeAttr>:$activation_type);
  let results = (outs LLM_FeatureTensor:$output);
  let assemblyFormat = [{
    $input `,` $rows `,` $weight (`norm` `(` $norm_weight^ `,` $norm_epsilon `)`)?
    (`activations` `(` $activation_type^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let builders = [
    OpBuilder<(ins "::mlir::Type":$output, "::mlir::Value":$input, "::mlir::Value":$rows,
                   "::mlir::FlatSymbolRefAttr":$weight)>
  ];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_SampleOp : LLM_ComputeOp<"sample", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Choose a token for each row of scores";
  let description = [{
    Without `uniforms`, the token with the highest score, ties to the lower id. With `uniforms`, a
    number in [0, 1) for each row: the scores are divided by `temperature` and become
    probabilities; of the tokens, by descending probability and then by id, stay the first `top_k`,
    those before which less than `top_p` lies, and those with at least `min_p` times the highest
    probability; the first whose cumulated share exceeds the row's number is chosen.

    ```mlir
    func.func @f(%logits: tensor<?x1000xf32>, %uniforms: tensor<?xf32>) -> tensor<?xi32> {
      %greedy = llm.sample %logits : (tensor<?x1000xf32>) -> tensor<?xi32>
      %tokens = llm.sample %logits uniforms(%uniforms)
          {temperature = 8.0e-01 : f32, top_k = 40 : i32, top_p = 9.5e-01 : f32}
          : (tensor<?x1000xf32>, tensor<?xf32>) -> tensor<?xi32>
      return %tokens : tensor<?xi32>
    }
    ```
  }];
  let arguments = (ins
    LLM_FeatureTensor:$logits, Optional<LLM_Vector>:$uniforms,
    OptionalAttr<F32Attr>:$temperature, OptionalAttr<I32Attr>:$top_k, OptionalAttr<F32Attr>:$top_p,
    OptionalAttr<F32Attr>:$min_p);
  let results = (outs LLM_Indices:$tokens);
  let assemblyFormat = [{
    $logits (`uniforms` `(` $uniforms^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_TRANSFORMEROPS_TD
