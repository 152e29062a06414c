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

def LLM_Packing : I32EnumAttr<"Packing", "how codes narrower than a byte share bytes", [
    I32EnumAttrCase<"Dense", 0, "dense">,
    I32EnumAttrCase<"Halves", 1, "halves">]> {
  let cppNamespace = "::mlir::llm";
  let genSpecializedAttr = 0;
}

#endif // LLMIR_DIALECT_LLM_IR_LLMATTRIBUTES_TD
