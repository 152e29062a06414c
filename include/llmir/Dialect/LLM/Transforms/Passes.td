// Passes over the `llm` dialect.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD
#define LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def CheckCacheUsesPass : Pass<"llm-check-cache-uses"> {
  let summary = "Check that no KV cache is used after it was consumed, across branches and loops";
  let description = [{
    A cache is a linear value: `llm.append_kv` and `llm.store_kv` consume it, and no use of it may
    follow on any path. The verifier sees one block; this pass follows branches, regions and loops.
    Arms that exclude each other may each consume the same cache. Each violation is an error at the
    second use with a note at the consumer. The pass changes nothing and counts `cache-consumers`.

    Passing a cache to a call consumes it. A branch or region operand hands it on: the block argument
    or result is then another name for it, and consuming the one ends the other.

    Refused, because the loop consumes `%kv` in every iteration:
    ```mlir
    !kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
    func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %again: i1) -> !kv {
      cf.br ^body
    ^body:
      %next = llm.store_kv %kv, %k, %k, %slots
          : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
      cf.cond_br %again, ^body, ^exit
    ^exit:
      return %next : !kv
    }
    ```
    Accepted, with the cache carried around the loop:
    ```mlir
    !kv = !llm.paged_kv_cache<f32, 1, 2, 8, 4, 64>
    func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %slots: tensor<?xi32>, %again: i1) -> !kv {
      cf.br ^body(%kv : !kv)
    ^body(%current: !kv):
      %next = llm.store_kv %current, %k, %k, %slots
          : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
      cf.cond_br %again, ^body(%next : !kv), ^exit
    ^exit:
      return %next : !kv
    }
    ```
  }];
}

def ShardModelPass : Pass<"llm-shard-model", "::mlir::ModuleOp"> {
  let summary = "Divide a step's heads and feed-forward features among ranks";
  let description = [{
    Every rank gets neighbouring query heads with the KV heads that they attend to, and neighbouring
    features of each gated feed-forward network. The projections that give these (q, k, v, gate, up)
    become `llm.sharded_linear` with `split(output)`, those that read them (o, down) with
    `split(input)`, after which the ranks' parts are added up; a residual is added to the sum. KV
    caches have the rank's heads. Embedding, norms and logits are computed on every rank. The result
    is the same for all ranks: weights are named as a whole.

    The roles are found by what is connected with attention and `llm.swiglu`, so the pass comes
    before `llm-fuse-projections`. Refused, at the op at fault: heads, KV heads or features that the
    ranks do not divide, columns of quantised weights that would be cut within a group of scales,
    and parts that any other op reads.

    Counts `projections-sharded` and `caches-divided`. With a world of one rank, does nothing.

    Before:
    ```mlir
    llm.weight @gate : tensor<96x64xf32>
    llm.weight @up : tensor<96x64xf32>
    llm.weight @down : tensor<64x96xf32>
    func.func @step(%context: !llm.step_context, %x: tensor<?x64xf32>) -> tensor<?x64xf32>
        attributes {llm.step} {
      %g = llm.linear %x, @gate : (tensor<?x64xf32>) -> tensor<?x96xf32>
      %u = llm.linear %x, @up : (tensor<?x64xf32>) -> tensor<?x96xf32>
      %h = llm.swiglu %g, %u : tensor<?x96xf32>
      %y = llm.linear %h, @down : (tensor<?x96xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After, with `world-size=2`:
    ```mlir
    llm.weight @gate : tensor<96x64xf32>
    llm.weight @up : tensor<96x64xf32>
    llm.weight @down : tensor<64x96xf32>
    func.func @step(%context: !llm.step_context, %x: tensor<?x64xf32>) -> tensor<?x64xf32>
        attributes {llm.step} {
      %g = llm.sharded_linear %x, @gate, %context split(output) shards(2)
          : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x48xf32>
      %u = llm.sharded_linear %x, @up, %context split(output) shards(2)
          : (tensor<?x64xf32>, !llm.step_context) -> tensor<?x48xf32>
      %h = llm.swiglu %g, %u : tensor<?x48xf32>
      %y = llm.sharded_linear %h, @down, %context split(input) shards(2)
          : (tensor<?x48xf32>, !llm.step_context) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let options = [
    Option<"worldSize", "world-size", "int64_t", /*default=*/"1",
           "The number of ranks among which the step is divided.">
  ];
}

def LowerShardedLinearPass : Pass<"llm-lower-sharded-linear", "::mlir::ModuleOp"> {
  let summary = "Give a rank its part of the sharded products";
  let description = [{
    `llm.sharded_linear` becomes `llm.linear` by the rank's part of the weight, which becomes a
    `shard` of its checkpoint tensors; with `split(input)` an `llm.all_reduce` follows, then the
    residual is added. A bias is divided with the rows, or added by rank 0 before the sum. A weight
    that others use too stays, and a part of it is declared beside it. The arithmetic of a product
    is that of the whole weight but for the order of addition.

    Refused: ops of another number of shards than `world-size`, and parts that would cut a
    quantisation group.

    Counts `products-lowered` and `all-reduces`.

    Before:
    ```mlir
    llm.weight @down : tensor<64x96xf32>
    func.func @f(%h: tensor<?x48xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
      %y = llm.sharded_linear %h, @down, %context split(input) shards(2)
          : (tensor<?x48xf32>, !llm.step_context) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After, with `world-size=2 rank=1`:
    ```mlir
    llm.weight @down shard<1, 2, 1> : tensor<64x48xf32>
    func.func @f(%h: tensor<?x48xf32>, %context: !llm.step_context) -> tensor<?x64xf32> {
      %p = llm.linear %h, @down : (tensor<?x48xf32>) -> tensor<?x64xf32>
      %y = llm.all_reduce %p, %context shards(2) : tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
  let options = [
    Option<"worldSize", "world-size", "int64_t", /*default=*/"1", "The number of ranks.">,
    Option<"rank", "rank", "int64_t", /*default=*/"0", "The rank whose parts are taken.">
  ];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseProjectionsPass : Pass<"llm-fuse-projections", "::mlir::ModuleOp"> {
  let summary = "Fuse the projections that read the same activations";
  let description = [{
    Linears that read the same value and differ in nothing but their weights' values and rows become
    one linear with a result each, over a weight with the concatenated sources; gate and up
    projections of a `llm.swiglu` become one linear with the swiglu epilogue over a weight with
    interleaved sources. The activations are then normalised and quantised once, and the weights are
    one stream. The new weight stands in the first source's place; the old ones are erased.

    Left alone: projections whose weights differ in type or have other users, and projections with a
    bias, a residual or an epilogue.

    Counts `projections-concatenated` and `gates-fused`.

    Before:
    ```mlir
    llm.weight @blk.0.attn_q.weight : tensor<64x64xf32>
    llm.weight @blk.0.attn_k.weight : tensor<32x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>) {
      %q = llm.linear %x, @blk.0.attn_q.weight : (tensor<?x64xf32>) -> tensor<?x4x16xf32>
      %k = llm.linear %x, @blk.0.attn_k.weight : (tensor<?x64xf32>) -> tensor<?x2x16xf32>
      return %q, %k : tensor<?x4x16xf32>, tensor<?x2x16xf32>
    }
    ```
    After:
    ```mlir
    llm.weight @blk.0.attn_qk.weight sources(["blk.0.attn_q.weight", "blk.0.attn_k.weight"])
        source_rows([64, 32]) : tensor<96x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>) {
      %q, %k = llm.linear %x, @blk.0.attn_qk.weight
          : (tensor<?x64xf32>) -> (tensor<?x4x16xf32>, tensor<?x2x16xf32>)
      return %q, %k : tensor<?x4x16xf32>, tensor<?x2x16xf32>
    }
    ```
  }];
}

def FoldNormsPass : Pass<"llm-fold-norms"> {
  let summary = "Fold RMS norms into the matrix ops that read them";
  let description = [{
    An RMS norm whose only uses are inputs of linears and logits becomes their prologue. Each of them
    computes the norm, so `llm-fuse-projections` comes first.

    Left alone: norms that anything else reads and norms that meet an op which has one
    already.

    Counts `norms-folded`.

    Before:
    ```mlir
    llm.weight @norm : tensor<64xf32>
    llm.weight @w : tensor<32x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %n = llm.rms_norm %x, @norm epsilon(1.0e-5) : tensor<?x64xf32>
      %y = llm.linear %n, @w : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
    After:
    ```mlir
    llm.weight @norm : tensor<64xf32>
    llm.weight @w : tensor<32x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %y = llm.linear %x, @w norm(@norm, 1.0e-5) : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
  }];
}

def FoldResidualsPass : Pass<"llm-fold-residuals"> {
  let summary = "Fold the addition of a residual into the projection";
  let description = [{
    The sum of a linear's result, which nothing else reads, and a value that is there when the linear
    runs becomes the linear's residual.

    Counts `residuals-folded`.

    Before:
    ```mlir
    llm.weight @w : tensor<64x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %p = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x64xf32>
      %y = arith.addf %x, %p : tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
    After:
    ```mlir
    llm.weight @w : tensor<64x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
      %y = llm.linear %x, @w residual(%x)
          : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
      return %y : tensor<?x64xf32>
    }
    ```
  }];
}

def QuantizeActivationsPass : Pass<"llm-quantize-activations", "::mlir::ModuleOp"> {
  let summary = "Choose the type in which matrix ops multiply their activations";
  let description = [{
    Sets the activation type of every `llm.linear` and `llm.logits` whose weight can take it. The
    choice is by the weight's type alone, never by the number of tokens, so that a request's logits
    do not depend on its batch. `i8` needs weights quantised in groups of 32; ops on plain weights
    keep f32 activations and get a remark.

    Counts `ops-quantized`, given a narrower type, and `ops-left`, whose weight cannot take it.

    Before:
    ```mlir
    llm.weight @w : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, scale = f16>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
    After, with `type=i8`:
    ```mlir
    llm.weight @w : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, scale = f16>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %y = llm.linear %x, @w activations(i8) : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
  }];
  let options = [
    Option<"type", "type", "::mlir::llm::ActivationType",
           /*default=*/"::mlir::llm::ActivationType::I8",
           "The type to which matrix ops convert their activations.",
           [{::llvm::cl::values(
               clEnumValN(::mlir::llm::ActivationType::F32, "f32", "keep f32"),
               clEnumValN(::mlir::llm::ActivationType::BF16, "bf16", "round to bf16"),
               clEnumValN(::mlir::llm::ActivationType::I8, "i8",
                          "8-bit integers with a scale for each group of 32"))}]>
  ];
}

def ChoosePackedLayoutsPass : Pass<"llm-choose-packed-layouts", "::mlir::ModuleOp"> {
  let summary = "Give every weight its place in the packed weight file";
  let description = [{
    Sets the `offset` of every weight, in module order and aligned to 64 bytes, and the module's
    `llm.weights_size`. The sizes are those of docs/PackedWeights.md: matrices in panels of 16 rows,
    each source of a fused weight padded to whole panels, vectors in f32 padded to 16 elements. A
    weight whose type has no packed form is an error.

    Counts `weights-placed` and their `bytes` without alignment.

    Before:
    ```mlir
    llm.weight @norm : tensor<24xf32>
    llm.weight @w : tensor<20x24xf32>
    ```
    After:
    ```mlir
    module attributes {llm.weights_size = 3200 : i64} {
      llm.weight @norm offset(0) : tensor<24xf32>
      llm.weight @w offset(128) : tensor<20x24xf32>
    }
    ```
  }];
}

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD
