// Enumerations of the `llm` dialect, as attributes with short spellings.

#ifndef LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_TD
#define LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_TD

include "llmir/Dialect/LLM/IR/LLMDialect.td"
include "mlir/IR/EnumAttr.td"

def LLM_Arrangement : I32EnumAttr<"Arrangement", "how the sources of a fused weight lie in it", [
    I32EnumAttrCase<"Concat", 0, "concat">,
    I32EnumAttrCase<"Interleave", 1, "interleave">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_ArrangementAttr : EnumAttr<LLM_Dialect, LLM_Arrangement, "arrangement"> {
  let summary = "How the sources of a fused weight lie in it";
  let description = [{
    `concat` stores all row panels of the first source, then of the second, and so on; `interleave`
    stores the first panel of each source, then the second of each. A gated feed-forward network
    interleaves its gate and up projections so that both factors of a product come from one pass.

    ```mlir
    llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<64x32xf32>
    ```
  }];
}

def LLM_Epilogue : I32EnumAttr<"Epilogue", "what a linear applies to its product", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"SwiGLU", 1, "swiglu">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_EpilogueAttr : EnumAttr<LLM_Dialect, LLM_Epilogue, "epilogue"> {
  let summary = "What a linear applies to its product";
  let description = [{
    `none` leaves the product as it is. `swiglu` takes a weight of two interleaved sources, gate and
    up, and gives silu(gate) * up, which has half as many features.

    ```mlir
    llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<64x32xf32>
    func.func @f(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
      %h = llm.linear %x, @gate_up epilogue(swiglu) : (tensor<?x32xf32>) -> tensor<?x32xf32>
      return %h : tensor<?x32xf32>
    }
    ```
  }];
}

def LLM_RopeStyle : I32EnumAttr<"RopeStyle", "which channels a rotary embedding pairs", [
    I32EnumAttrCase<"Interleaved", 0, "interleaved">,
    I32EnumAttrCase<"Half", 1, "half">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_RopeStyleAttr : EnumAttr<LLM_Dialect, LLM_RopeStyle, "rope_style"> {
  let summary = "Which channels a rotary embedding pairs";
  let description = [{
    `interleaved` rotates the channels (2i, 2i + 1) together; `half` rotates (i, i + rotary_dim/2).

    ```mlir
    func.func @f(%q: tensor<?x4x32xf32>, %positions: tensor<?xi32>) -> tensor<?x4x32xf32> {
      %r = llm.rope %q positions(%positions) theta(1.0e+4) rotary_dim(32) half
          : tensor<?x4x32xf32>, tensor<?xi32>
      return %r : tensor<?x4x32xf32>
    }
    ```
  }];
}

def LLM_ScaleGranularity : I32EnumAttr<"ScaleGranularity",
    "which elements of a cache share a scale; numbered as llmir_scale_granularity", [
    I32EnumAttrCase<"None", 0, "none">,
    I32EnumAttrCase<"Tensor", 1, "tensor">,
    I32EnumAttrCase<"Head", 2, "head">,
    I32EnumAttrCase<"Token", 3, "token">,
    I32EnumAttrCase<"Group", 4, "group">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_CacheArrangement : I32EnumAttr<"CacheArrangement",
    "how the elements of a head lie in a block; numbered as llmir_cache_arrangement", [
    I32EnumAttrCase<"ChannelMajor", 0, "channel_major">,
    I32EnumAttrCase<"TokenMajor", 1, "token_major">,
    I32EnumAttrCase<"Pairs", 2, "pairs">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_GELUApproximation : I32EnumAttr<"GELUApproximation", "how GELU is computed", [
    I32EnumAttrCase<"Tanh", 0, "tanh">,
    I32EnumAttrCase<"Erf", 1, "erf">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_GELUApproximationAttr
    : EnumAttr<LLM_Dialect, LLM_GELUApproximation, "gelu_approximation"> {
  let summary = "How GELU is computed";
  let description = [{
    `erf` is x/2 * (1 + erf(x / sqrt(2))); `tanh` is
    x/2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x^3))).

    ```mlir
    func.func @f(%gate: tensor<?x64xf32>, %up: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %h = llm.geglu %gate, %up approximation(erf) : tensor<?x64xf32>
      return %h : tensor<?x64xf32>
    }
    ```
  }];
}

def LLM_RouterScores : I32EnumAttr<"RouterScores", "how a router turns logits into scores", [
    I32EnumAttrCase<"Softmax", 0, "softmax">,
    I32EnumAttrCase<"Sigmoid", 1, "sigmoid">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_RouterScoresAttr : EnumAttr<LLM_Dialect, LLM_RouterScores, "router_scores"> {
  let summary = "How a router turns logits into scores of experts";
  let description = [{
    `softmax` over all experts, or `sigmoid` of each expert's logit.

    ```mlir
    llm.weight @router : tensor<4x32xf32>
    llm.weight @gate : tensor<256x32xf32>
    llm.weight @up : tensor<256x32xf32>
    llm.weight @down : tensor<128x64xf32>
    func.func @f(%x: tensor<?x32xf32>) -> tensor<?x32xf32> {
      %y = llm.moe %x router(@router) gate(@gate) up(@up) down(@down) experts(2 of 4) scores(sigmoid)
          : tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
  }];
}

def LLM_ShardSplit : I32EnumAttr<"ShardSplit", "which features of a product are split", [
    I32EnumAttrCase<"Output", 0, "output">,
    I32EnumAttrCase<"Input", 1, "input">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_ShardSplitAttr : EnumAttr<LLM_Dialect, LLM_ShardSplit, "shard_split"> {
  let summary = "Which features of a product are split over ranks";
  let description = [{
    `output`: each rank has some rows of the weight and computes some features of the result.
    `input`: each rank has some columns of the weight and some features of the input, and the
    partial products are added up.

    ```mlir
    llm.weight @w : tensor<64x32xf32>
    func.func @f(%x: tensor<?x32xf32>, %context: !llm.step_context) -> tensor<?x16xf32> {
      %y = llm.sharded_linear %x, @w, %context split(output) shards(4)
          : (tensor<?x32xf32>, !llm.step_context) -> tensor<?x16xf32>
      return %y : tensor<?x16xf32>
    }
    ```
  }];
}

def LLM_RopeScalingKind : I32EnumAttr<"RopeScalingKind",
    "how a model reaches beyond the positions it was trained on", [
    I32EnumAttrCase<"Linear", 0, "linear">,
    I32EnumAttrCase<"NTK", 1, "ntk">,
    I32EnumAttrCase<"YaRN", 2, "yarn">,
    I32EnumAttrCase<"Llama3", 3, "llama3">,
    I32EnumAttrCase<"LongRoPE", 4, "longrope">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

def LLM_RopeScalingAttr : AttrDef<LLM_Dialect, "RopeScaling"> {
  let mnemonic = "rope_scaling";
  let summary = "How rotary angles are changed for sequences longer than those of training";
  let description = [{
    With f_i = theta^(-2i / rotary_dim), the frequency of pair i, and L, the longest sequence of
    training (`original`):

    | kind | frequency of pair i | cosines and sines are multiplied by |
    |---|---|---|
    | `linear` | f_i / factor | 1 |
    | `ntk` | as f_i with theta * factor^(rotary_dim / (rotary_dim - 2)) | 1 |
    | `yarn` | f_i / factor below `beta_slow` turns in L positions, f_i above `beta_fast`, a ramp over i between | `magnitude`, by default 1 + 0.1 ln(factor) |
    | `llama3` | f_i / factor below `low` turns in L positions, f_i above `high`, a ramp over turns between | 1 |
    | `longrope` | f_i over the op's `frequency_factors` | `magnitude`, by default sqrt(1 + ln(factor) / ln(L)) |

    Parameters that a kind does not have must not be given. Defaults are not printed: `beta_fast`
    32, `beta_slow` 1, `low` 1, `high` 4.

    ```mlir
    func.func @f(%q: tensor<?x4x64xf32>, %positions: tensor<?xi32>) -> tensor<?x4x64xf32> {
      %r = llm.rope %q positions(%positions) theta(5.0e+5) rotary_dim(64) half
          scaling(<llama3, factor = 8.0, original = 8192>)
          : tensor<?x4x64xf32>, tensor<?xi32>
      %s = llm.rope %r positions(%positions) theta(5.0e+5) rotary_dim(64) half
          scaling(<yarn, factor = 4.0, original = 32768, beta_fast = 16.0>)
          : tensor<?x4x64xf32>, tensor<?xi32>
      return %s : tensor<?x4x64xf32>
    }
    ```
  }];
  // One slot a parameter; `slow` is beta_slow or low, `fast` is beta_fast or high.
  let parameters = (ins
    "::mlir::llm::RopeScalingKind":$kind, "::mlir::FloatAttr":$factorAttr, "int64_t":$original,
    "::mlir::FloatAttr":$slowAttr, "::mlir::FloatAttr":$fastAttr,
    OptionalParameter<"::mlir::FloatAttr">:$magnitudeAttr);
  let builders = [
    // A scaling with the defaults of its kind.
    AttrBuilder<(ins "::mlir::llm::RopeScalingKind":$kind, "double":$factor,
                     CArg<"int64_t", "0">:$original)>
  ];
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
  let extraClassDeclaration = [{
    double getFactor() const { return getFactorAttr().getValueAsDouble(); }
    /// Turns in `original` positions below which a frequency is divided by the factor.
    double getSlow() const { return getSlowAttr().getValueAsDouble(); }
    /// Turns in `original` positions above which a frequency is left as it is.
    double getFast() const { return getFastAttr().getValueAsDouble(); }
    /// The angle, in radians, by which pair `pair` of `rotaryDim / 2` turns from one position to the
    /// next, before any frequency factors.
    double getFrequency(double theta, int64_t rotaryDim, int64_t pair) const;
    /// What cosines and sines are multiplied by.
    double getMagnitude() const;
  }];
}

def LLM_Packing : I32EnumAttr<"Packing", "how codes narrower than a byte share bytes", [
    I32EnumAttrCase<"Dense", 0, "dense">,
    I32EnumAttrCase<"Halves", 1, "halves">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

#endif // LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_TD
