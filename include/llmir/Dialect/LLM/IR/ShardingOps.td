// A model over several ranks: products whose weights are split, and the exchange between ranks.

#ifndef LLMIR_DIALECT_LLM_IR_SHARDINGOPS_TD
#define LLMIR_DIALECT_LLM_IR_SHARDINGOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupSharding : OpDocGroup {
  let summary = "Sharding";
  let description = [{
    All ranks run the same program on shards of the weights; the step's context knows the rank and
    does the exchange. Ranks number from 0. The collectives here involve all ranks, which meet in the
    same order: the ops have effects on a resource, so that no pass reorders, repeats or drops
    them. Sums are in rank order, equal on every rank.
  }];
}

/// An op that exchanges data with other ranks.
class LLM_ExchangeOp<string mnemonic, list<Trait> traits = []> : LLM_TwoFormOp<mnemonic, traits> {
  let extraClassDefinition = [{
    void $cppClass::getEffects(::llvm::SmallVectorImpl<
        ::mlir::SideEffects::EffectInstance<::mlir::MemoryEffects::Effect>> &effects) {
      ::mlir::llm::addOpEffects(*this, effects);
      ::mlir::llm::addExchangeEffects(effects);
    }
  }];
}

let opDocGroup = LLM_OpGroupSharding in {

def LLM_ShardedLinearOp : LLM_StepOp<"sharded_linear", [
    LLM_OneForm, DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Multiply by a weight matrix that is split over ranks";
  let description = [{
    As `llm.linear` for one result, with the weight, named as a whole, split into `shards` equal
    parts, one a rank.

    `split(output)`: a rank has neighbouring rows of the weight. The input is whole; the result has
    the rank's features. Nothing is exchanged. `norm` and `epilogue` are as in `llm.linear`.

    `split(input)`: a rank has neighbouring columns, and the input has the rank's features. The
    partial products are added up over the ranks, so that the result is whole and equal on all; then
    `bias` and `residual` are added once.

    With one shard the op is an `llm.linear`.

    ```mlir
    llm.weight @norm : tensor<64xf32>
    llm.weight @gate_up sources(["gate", "up"]) arrangement(interleave) : tensor<512x64xf32>
    llm.weight @down : tensor<64x256xf32>
    func.func @f(%x: tensor<?x64xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
      %h = llm.sharded_linear %x, @gate_up, %context split(output) shards(2) norm(@norm, 1.0e-5)
          epilogue(swiglu) : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x128xf32>
      %y = llm.sharded_linear %h, @down, %context split(input) shards(2) residual(%x)
          : (tensor<?x128xf32>, !llm.step_context, tensor<?x64xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ActivationTensor:$input, LLM_StepContext:$step_context,
    Optional<LLM_ActivationTensor>:$residual, FlatSymbolRefAttr:$weight, LLM_ShardSplitAttr:$split,
    I32Attr:$shards, OptionalAttr<FlatSymbolRefAttr>:$bias,
    OptionalAttr<FlatSymbolRefAttr>:$norm_weight, OptionalAttr<F32Attr>:$norm_epsilon,
    DefaultValuedAttr<LLM_EpilogueAttr, "::mlir::llm::Epilogue::None">:$epilogue,
    OptionalAttr<TypeAttr>:$activation_type);
  let results = (outs LLM_ActivationTensor:$output);
  let assemblyFormat = [{
    $input `,` $weight `,` $step_context `split` `(` custom<Keyword>($split) `)` `shards` `(` $shards `)`
    (`norm` `(` $norm_weight^ `,` $norm_epsilon `)`)? (`activations` `(` $activation_type^ `)`)?
    (`bias` `(` $bias^ `)`)? (`epilogue` `(` custom<Keyword>($epilogue)^ `)`)?
    (`residual` `(` $residual^ `)`)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_AllReduceOp : LLM_ExchangeOp<"all_reduce", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Add up a tensor over all ranks";
  let description = [{
    Every rank gets the sum. `shards`, where given, is the number of ranks; the all-reduce of one
    is its input.

    ```mlir
    func.func @f(%x: tensor<?x576xf32>, %context: !llm.step_context) -> tensor<?x576xf32> {
      %y = llm.all_reduce %x, %context : tensor<?x576xf32>
      return %y : tensor<?x576xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ShardableTensor:$input, LLM_StepContext:$step_context, OptionalAttr<I32Attr>:$shards);
  let results = (outs LLM_ShardableTensor:$output);
  let assemblyFormat = [{
    $input `,` $step_context (`shards` `(` $shards^ `)`)? attr-dict `:` type($input)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_AllGatherOp : LLM_ExchangeOp<"all_gather", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Put the shards of all ranks together";
  let description = [{
    The result is the inputs of ranks 0 to `shards` - 1, one after another along `dim`. What
    `llm.reduce_scatter` left of a sum is put together as `llm.all_reduce`.

    ```mlir
    func.func @f(%x: tensor<?x144xf32>, %context: !llm.step_context) -> tensor<?x576xf32> {
      %y = llm.all_gather %x, %context dim(1) shards(4) : tensor<?x144xf32> -> tensor<?x576xf32>
      return %y : tensor<?x576xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ShardableTensor:$input, LLM_StepContext:$step_context, I32Attr:$dim, I32Attr:$shards);
  let results = (outs LLM_ShardableTensor:$output);
  let assemblyFormat = [{
    $input `,` $step_context `dim` `(` $dim `)` `shards` `(` $shards `)` attr-dict `:` type($input) `->`
    type($output)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
  let hasCanonicalizeMethod = 1;
}

def LLM_ReduceScatterOp : LLM_ExchangeOp<"reduce_scatter", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Add up a tensor over all ranks and keep one shard of the sum";
  let description = [{
    Rank r gets part r of `shards` equal parts of the sum along `dim`.

    ```mlir
    func.func @f(%x: tensor<?x576xf32>, %context: !llm.step_context) -> tensor<?x144xf32> {
      %y = llm.reduce_scatter %x, %context dim(1) shards(4)
          : tensor<?x576xf32> -> tensor<?x144xf32>
      return %y : tensor<?x144xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_ShardableTensor:$input, LLM_StepContext:$step_context, I32Attr:$dim, I32Attr:$shards);
  let results = (outs LLM_ShardableTensor:$output);
  let assemblyFormat = [{
    $input `,` $step_context `dim` `(` $dim `)` `shards` `(` $shards `)` attr-dict `:` type($input) `->`
    type($output)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_SendOp : LLM_ExchangeOp<"send"> {
  let summary = "Send a tensor to another rank";
  let description = [{
    Meets the `llm.recv` of rank `to` that names this rank. Messages between two ranks arrive in the
    order in which they are sent.

    ```mlir
    func.func @f(%x: tensor<?x576xf32>, %context: !llm.step_context) {
      llm.send %x, %context to(1) : tensor<?x576xf32>
      return
    }
    ```
  }];
  let arguments = (ins LLM_ShardableTensor:$input, LLM_StepContext:$step_context, I32Attr:$to);
  let assemblyFormat = "$input `,` $step_context `to` `(` $to `)` attr-dict `:` type($input)";
  let hasVerifier = 1;
}

def LLM_RecvOp : LLM_ExchangeOp<"recv"> {
  let summary = "Receive a tensor from another rank";
  let description = [{
    The sizes of dynamic dimensions are operands: both ranks know the step's tokens.

    ```mlir
    func.func @f(%tokens: index, %context: !llm.step_context) -> tensor<?x576xf32> {
      %x = llm.recv %context[%tokens] from(0) : tensor<?x576xf32>
      return %x : tensor<?x576xf32>
    }
    ```
  }];
  let arguments = (ins LLM_StepContext:$step_context, Variadic<Index>:$sizes, I32Attr:$from);
  let results = (outs LLM_ShardableTensor:$output);
  let assemblyFormat = [{
    $step_context (`[` $sizes^ `]`)? `from` `(` $from `)` attr-dict `:` type($output)
  }];
  let hasVerifier = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_SHARDINGOPS_TD
