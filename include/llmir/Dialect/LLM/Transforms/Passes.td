// Passes over the `llm` dialect; those over KV caches are in KVCachePasses.td.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD
#define LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD

include "llmir/Dialect/LLM/Transforms/KVCachePasses.td"
include "mlir/Pass/PassBase.td"

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

def ReportCostsPass : Pass<"llm-report-costs"> {
  let summary = "Remark on what each op costs: bytes and arithmetic";
  let description = [{
    Emits a remark at each op of the dialect that has a cost: bytes read and written, operations, and
    bytes exchanged with other ranks, as sums over the step's T tokens, S sequences, R rows of logits,
    C tokens of all contexts, and P pairs of a token and one of its context (CostOpInterface). The
    pass changes nothing.

    Remarks:
    ```mlir
    llm.weight @w : tensor<32x64xf32>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      // remark: reads 8192 + 256 T bytes, writes 128 T bytes, computes 4096 T flops
      %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
    With sizes, a remark on the root of the pass gives the sums of all ops for a step of so many
    tokens of so many sequences, each with a context of the same length:
    `--llm-report-costs="sequences=8 tokens=8 context=4096"`.

    Counts `ops-with-costs`.
  }];
  let options = [
    Option<"sequences", "sequences", "int64_t", "0", "Sequences of the step to sum up for">,
    Option<"tokens", "tokens", "int64_t", "0", "New tokens of all sequences; as many for each">,
    Option<"context", "context", "int64_t", "0",
           "Tokens of each sequence's context, the new ones included">
  ];
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

def RaiseAttentionPass : Pass<"llm-raise-attention"> {
  let summary = "Turn attention written as products and a softmax into `llm.attention`";
  let description = [{
    Recognises a product of queries and keys, a softmax along the keys and a product with values,
    however they are cut into ops: named linalg contractions or `linalg.generic`, `linalg.softmax` or
    the chain of maximum, difference, exponential, sum and quotient (or product with the inverse),
    with broadcasts, transpositions and reshapes between them. Between the products may be, from the
    outside inwards, an additive or selecting mask, a soft cap (`c * tanh(s / c)`) and a scale, which
    may also be on the queries or keys. Masks that compare indices become `causal` and `window`.
    Query heads that share keys and values, because these are broadcast or because the product has
    another dimension of rows, become a group.

    Conversions to other float types between the products are dropped: `llm.attention` computes
    scores and softmax in f32. A row of which every key is masked, for which the code gave NaN, or the
    mean of all values under a finite mask, becomes zero.

    Left alone: anything else between the products, a scale outside a mask or a soft cap,
    probabilities that something else reads, products whose sum does not start at zero, operands of
    different types, and index masks of sizes that are not known.

    Counts `attentions-raised`.

    Before:
    ```mlir
    func.func @f(%q: tensor<4x7x64xf32>, %k: tensor<4x9x64xf32>, %v: tensor<4x9x64xf32>,
                 %scale: f32) -> tensor<4x7x64xf32> {
      %zero = arith.constant 0.0 : f32
      %eighth = arith.constant dense<0.125> : tensor<4x7x9xf32>
      %0 = tensor.empty() : tensor<4x7x9xf32>
      %1 = linalg.fill ins(%zero : f32) outs(%0 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
      %2 = linalg.batch_matmul
          indexing_maps = [affine_map<(b, m, n, k) -> (b, m, k)>,
                           affine_map<(b, m, n, k) -> (b, n, k)>,
                           affine_map<(b, m, n, k) -> (b, m, n)>]
          ins(%q, %k : tensor<4x7x64xf32>, tensor<4x9x64xf32>)
          outs(%1 : tensor<4x7x9xf32>) -> tensor<4x7x9xf32>
      %3 = arith.mulf %2, %eighth : tensor<4x7x9xf32>
      %4 = linalg.softmax dimension(2) ins(%3 : tensor<4x7x9xf32>) outs(%0 : tensor<4x7x9xf32>)
          -> tensor<4x7x9xf32>
      %5 = tensor.empty() : tensor<4x7x64xf32>
      %6 = linalg.fill ins(%zero : f32) outs(%5 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
      %7 = linalg.batch_matmul ins(%4, %v : tensor<4x7x9xf32>, tensor<4x9x64xf32>)
          outs(%6 : tensor<4x7x64xf32>) -> tensor<4x7x64xf32>
      return %7 : tensor<4x7x64xf32>
    }
    ```
    After:
    ```mlir
    func.func @f(%q: tensor<4x7x64xf32>, %k: tensor<4x9x64xf32>, %v: tensor<4x9x64xf32>,
                 %scale: f32) -> tensor<4x7x64xf32> {
      %0 = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [4, 7, 1, 64]
          : tensor<4x7x64xf32> into tensor<4x7x1x64xf32>
      %1 = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [4, 9, 1, 64]
          : tensor<4x9x64xf32> into tensor<4x9x1x64xf32>
      %2 = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [4, 9, 1, 64]
          : tensor<4x9x64xf32> into tensor<4x9x1x64xf32>
      %3 = llm.attention %0, %1, %2 {num_heads = 1 : i32, scale = 1.250000e-01 : f32}
          : (tensor<4x7x1x64xf32>, tensor<4x9x1x64xf32>, tensor<4x9x1x64xf32>)
          -> tensor<4x7x1x64xf32>
      %4 = tensor.collapse_shape %3 [[0], [1], [2, 3]]
          : tensor<4x7x1x64xf32> into tensor<4x7x64xf32>
      return %4 : tensor<4x7x64xf32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::llm::LLMDialect",
    "::mlir::tensor::TensorDialect"
  ];
}

def QuantizeWeightsPass : Pass<"llm-quantize-weights", "::mlir::ModuleOp"> {
  let summary = "Give float weights the types of integer codes";
  let description = [{
    Matrices of f32, f16 and bf16 become `!llm.quantized_tensor`s in groups along their columns, with
    f16 scales. The pass decides types alone: the checkpoint's tensors keep theirs, and the packer
    rounds their rows when it writes the weights section. The logical element type of the new type is
    the old element type. Runs before `llm-fuse-projections`.

    8-bit codes are symmetric. 4-bit codes are symmetric or have a minimum, all of them alike so that
    projections can be fused and layers share their code. The weights that `llm.embedding` and
    `llm.logits` read are sensitive and have a type of their own.

    With a checkpoint, the rounding is tried on some rows: of the two forms of 4-bit codes the one
    with minima, which takes a ninth more bytes, is chosen where it reduces the squared error by a
    quarter, and errors are counted.

    Left alone: vectors, weights that are quantised already, weights whose columns are not whole
    groups, and those that the option `keep` names.

    Counts `weights-quantized`, `weights-kept`, `bytes-before`, `bytes-after`, and with a checkpoint
    `rms-error-ppm` and `largest-error-ppm`, in millionths of the weights' root mean square.

    Before:
    ```mlir
    llm.weight @w : tensor<32x64xbf16>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
    After, with `storage=i8`:
    ```mlir
    llm.weight @w : !llm.quantized_tensor<i8, [32, 64], true, true, 1, 32, 8, element = bf16,
                                          scale = f16>
    func.func @f(%x: tensor<?x64xf32>) -> tensor<?x32xf32> {
      %y = llm.linear %x, @w : (tensor<?x64xf32>) -> tensor<?x32xf32>
      return %y : tensor<?x32xf32>
    }
    ```
  }];
  let options = [
    Option<"storage", "storage", "::mlir::llm::WeightStorage",
           /*default=*/"::mlir::llm::WeightStorage::I8", "The codes of matrices.",
           [{::llvm::cl::values(
               clEnumValN(::mlir::llm::WeightStorage::I8, "i8", "8 bits"),
               clEnumValN(::mlir::llm::WeightStorage::I4, "i4", "4 bits"))}]>,
    Option<"headStorage", "head-storage", "::mlir::llm::WeightStorage",
           /*default=*/"::mlir::llm::WeightStorage::I8",
           "The codes of weights that embeddings and logits read.",
           [{::llvm::cl::values(
               clEnumValN(::mlir::llm::WeightStorage::I8, "i8", "8 bits"),
               clEnumValN(::mlir::llm::WeightStorage::I4, "i4", "4 bits"))}]>,
    Option<"symmetry", "symmetry", "::mlir::llm::WeightSymmetry",
           /*default=*/"::mlir::llm::WeightSymmetry::Best",
           "Whether groups of 4-bit codes have minima.",
           [{::llvm::cl::values(
               clEnumValN(::mlir::llm::WeightSymmetry::Symmetric, "symmetric", "a scale alone"),
               clEnumValN(::mlir::llm::WeightSymmetry::Asymmetric, "asymmetric",
                          "a scale and a minimum"),
               clEnumValN(::mlir::llm::WeightSymmetry::Best, "best",
                          "what the checkpoint's weights ask for; asymmetric without one"))}]>,
    Option<"groupSize", "group-size", "int64_t", /*default=*/"32",
           "Elements that share a scale: 32, 64 or 128.">,
    ListOption<"keep", "keep", "std::string",
           "Patterns (with `*`) of names of weights that keep their type.">,
    Option<"checkpoint", "checkpoint", "std::string", /*default=*/"",
           "The GGUF file of the weights, from which errors are estimated.">,
    Option<"sampleRows", "sample-rows", "int64_t", /*default=*/"64",
           "Rows of each tensor that errors are estimated on; 0: all.">,
    Option<"verbose", "verbose", "bool", /*default=*/"false",
           "Emit a remark on each weight: what became of it and why.">
  ];
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

def VerifyLoweredPass : Pass<"llm-verify-lowered", "::mlir::ModuleOp"> {
  let summary = "Verify that nothing unlowered is left";
  let description = [{
    The last pass of a pipeline: what a conversion left behind would be refused later, by a code
    generator that knows neither the op's source nor why, or not at all. One error at the first op, in
    the order of the text, that is of none of `dialects`, or has an operand, a result, a block
    argument or a signature of a type of the llm dialect or, unless `tensor` is among `dialects`, a
    tensor. Without `dialects` only types and ops of the llm dialect are looked for. The module itself
    may stay. Counts `ops-verified`.

    Refused with `dialects=func,arith`, because nothing has lowered the branch:
    ```mlir
    func.func @f(%condition: i1) {
      scf.if %condition {
      }
      return
    }
    ```
  }];
  let options = [
    ListOption<"dialects", "dialects", "std::string",
      "Dialects of which ops may be left: the target's.">
  ];
}

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_PASSES_TD
