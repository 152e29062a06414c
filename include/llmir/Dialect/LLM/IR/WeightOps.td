// Weights of a model, as module-level symbols.

#ifndef LLMIR_DIALECT_LLM_IR_WEIGHTOPS_TD
#define LLMIR_DIALECT_LLM_IR_WEIGHTOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupWeights : OpDocGroup {
  let summary = "Weights";
  let description = "Names for the matrices and vectors of a checkpoint.";
}

let opDocGroup = LLM_OpGroupWeights in {

def LLM_WeightOp : LLM_Op<"weight", [Symbol]> {
  let summary = "Name a weight of the checkpoint";
  let description = [{
    A module-level symbol that stands for a matrix of [output features, input features] or for a
    vector. It holds a type, never data.

    `sources` lists the checkpoint's tensors of which the weight is made; without it, the symbol's
    name is the tensor's. A weight of several sources has the sum of their rows; `arrangement` says
    how they lie in the packed file. `source_rows` is how many rows (elements of a vector) each has;
    interleaved sources have equally many and need none. `offset` is the weight's byte offset in the
    weights section, set once packed layouts are chosen.

    ```mlir
    llm.weight @blk.0.attn_norm.weight : tensor<576xf32>
    llm.weight @blk.0.ffn_gate_up sources(["blk.0.ffn_gate.weight", "blk.0.ffn_up.weight"])
        arrangement(interleave) offset(4096)
        : !llm.quantized_tensor<i4, [3072, 576], true, true, 1, 32, 4, scale = f16>
    ```
  }];
  let arguments = (ins
    SymbolNameAttr:$sym_name, TypeAttr:$type, OptionalAttr<StrArrayAttr>:$sources,
    OptionalAttr<DenseI64ArrayAttr>:$source_rows,
    DefaultValuedAttr<LLM_ArrangementAttr, "::mlir::llm::Arrangement::Concat">:$arrangement,
    OptionalAttr<I64Attr>:$offset);
  let assemblyFormat = [{
    $sym_name (`sources` `(` $sources^ `)`)? (`source_rows` `(` $source_rows^ `)`)?
    (`arrangement` `(` custom<Keyword>($arrangement)^ `)`)? (`offset` `(` $offset^ `)`)? attr-dict `:` $type
  }];
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name, "::mlir::Type":$type)>];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// The weight's shape; one or two dimensions.
    ::llvm::ArrayRef<int64_t> getShape();
    bool isMatrix() { return getShape().size() == 2; }
    int64_t getRows() { return getShape().front(); }
    int64_t getCols() { return getShape().back(); }
    /// Checkpoint tensors of which the weight is made; at least one.
    ::llvm::SmallVector<::llvm::StringRef> getSourceNames();
    int64_t getNumSources() { return getSources() ? getSources()->size() : 1; }
  }];
}

def LLM_LoadWeightOp : LLM_WeightUserOp<"load_weight"> {
  let summary = "A small vector of the checkpoint as a tensor";
  let description = [{
    For what is an operand elsewhere, such as the learned sinks of an attention op. Matrices are
    never loaded: ops refer to them by name.

    ```mlir
    llm.weight @blk.0.attn_sinks.weight : tensor<64xf32>
    func.func @f() -> tensor<64xf32> {
      %sinks = llm.load_weight @blk.0.attn_sinks.weight : tensor<64xf32>
      return %sinks : tensor<64xf32>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$weight);
  let results = (outs LLM_Vector:$output);
  let assemblyFormat = "$weight attr-dict `:` type($output)";
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_WEIGHTOPS_TD
