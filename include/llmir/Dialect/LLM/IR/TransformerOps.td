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
}

def LLM_RopeOp : LLM_Op<"rope", [
    Pure, DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Rotate queries and keys by their positions";
  let description = [{
    Rotates the first `rotary_dim` channels of each head, in pairs, by position * theta^(-2i /
    rotary_dim) for pair i; the others pass through. The style says which channels are a pair. With
    `frequency_factors`, a vector of rotary_dim / 2 elements, pair i's angle is divided by element i.

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
    OptionalAttr<FlatSymbolRefAttr>:$frequency_factors);
  let results = (outs Variadic<LLM_HeadsTensor>:$outputs);
  let assemblyFormat = [{
    $inputs `positions` `(` $positions `)` `theta` `(` $theta `)` `rotary_dim` `(` $rotary_dim `)`
    custom<Keyword>($style) (`frequency_factors` `(` $frequency_factors^ `)`)? attr-dict `:` type(operands)
  }];
  let hasVerifier = 1;
}

def LLM_SwiGLUOp : LLM_Op<"swiglu", [Pure, SameOperandsAndResultType]> {
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
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_TRANSFORMEROPS_TD
