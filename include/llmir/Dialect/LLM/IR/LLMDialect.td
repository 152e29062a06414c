// The `llm` dialect itself: its name, what it is for and how its parts fit together. The types,
// attributes, interfaces and op families each have a file of their own beside this one.

#ifndef LLMIR_DIALECT_LLM_IR_LLMDIALECT_TD
#define LLMIR_DIALECT_LLM_IR_LLMDIALECT_TD

include "mlir/IR/OpBase.td"

def LLM_Dialect : Dialect {
  let name = "llm";
  let summary = "Inference of language models over a paged KV cache";
  let description = [{
    The `llm` dialect describes one *step* of a language model: it takes the new tokens of several
    sequences, packed one after another, reads and extends their key/value caches, and gives the
    logits of the rows that were asked for.

    Three ideas carry it.

    *The KV cache is a type.* `!llm.paged_kv_cache` spells out layers, heads, head size, block size,
    capacity and storage types. Ops that use a cache are verified against it, so a kernel and a
    cache that disagree do not compile.

    *A cache is a linear SSA value.* `llm.append_kv` and `llm.store_kv` take a cache and give the
    next one; the cache that was taken must not be used again. Writing in place is therefore always
    right. Each consumer checks its own block; `llm-check-cache-uses` checks branches and loops.

    *Weights are symbols.* An `llm.weight` names a matrix or vector of the checkpoint. Ops refer to
    it by name, and compiled code addresses it as base plus constant. Weights hold no data here, so
    the IR of a large model is a page of text.

    Activations are ordinary tensors: `tensor<?xNxf32>` is [tokens, features], and
    `tensor<?xHxDxf32>` the same with the features split into heads; wherever an op contracts or
    produces features, the dimensions after the first count as one.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 1, 2, 32, 16, 512>

    llm.weight @attn_norm : tensor<128xf32>
    llm.weight @wqkv sources(["q", "k", "v"]) : tensor<256x128xf32>
    llm.weight @wo : tensor<128x128xf32>

    func.func @attention(%x: tensor<?x128xf32>, %positions: tensor<?xi32>, %cu: tensor<?xi32>,
                         %lengths: tensor<?xi32>, %kv: !kv, %slots: tensor<?xi32>,
                         %table: tensor<?x?xi32>) -> (tensor<?x128xf32>, !kv) {
      %q, %k, %v = llm.linear %x, @wqkv norm(@attn_norm, 1.0e-5)
          : (tensor<?x128xf32>) -> (tensor<?x4x32xf32>, tensor<?x2x32xf32>, tensor<?x2x32xf32>)
      %qr, %kr = llm.rope %q, %k positions(%positions) theta(1.0e+4) rotary_dim(32) interleaved
          : tensor<?x4x32xf32>, tensor<?x2x32xf32>, tensor<?xi32>
      %kv1 = llm.store_kv %kv, %kr, %v, %slots
          : (!kv, tensor<?x2x32xf32>, tensor<?x2x32xf32>, tensor<?xi32>) -> !kv
      %a = llm.paged_attention %qr, %kv1, %table, %lengths cu_lengths(%cu)
          {num_heads = 4 : i32, head_dim = 32 : i32, scale = 0.1767767 : f32}
          : (tensor<?x4x32xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x4x32xf32>
      %o = llm.linear %a, @wo residual(%x)
          : (tensor<?x4x32xf32>, tensor<?x128xf32>) -> tensor<?x128xf32>
      return %o, %kv1 : tensor<?x128xf32>, !kv
    }
    ```
  }];
  let cppNamespace = "::mlir::llm";
  let useDefaultTypePrinterParser = 1;
  let useDefaultAttributePrinterParser = 1;
  let hasOperationAttrVerify = 1;
  // Canonicalisation makes constants.
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let extraClassDeclaration = [{
    /// Unit attribute of the function that is a model's step.
    static constexpr ::llvm::StringLiteral kStepAttrName = "llm.step";
    /// Module attributes: a model's name, architecture, vocabulary size and longest sequence.
    static constexpr ::llvm::StringLiteral kNameAttrName = "llm.name";
    static constexpr ::llvm::StringLiteral kArchitectureAttrName = "llm.architecture";
    static constexpr ::llvm::StringLiteral kVocabularySizeAttrName = "llm.vocabulary_size";
    static constexpr ::llvm::StringLiteral kMaxSequenceLengthAttrName = "llm.max_sequence_length";

    void registerTypes();
    void registerAttributes();
  }];
}

#endif // LLMIR_DIALECT_LLM_IR_LLMDIALECT_TD
