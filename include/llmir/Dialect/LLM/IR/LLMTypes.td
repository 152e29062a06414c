// Types of the `llm` dialect: the paged KV cache, quantised and sharded tensors, the step context.

#ifndef LLMIR_DIALECT_LLM_IR_LLMTYPES_TD
#define LLMIR_DIALECT_LLM_IR_LLMTYPES_TD

include "llmir/Dialect/LLM/IR/LLMAttributes.td"
include "mlir/IR/AttrTypeBase.td"

class LLM_Type<string name, string typeMnemonic, list<Trait> traits = []>
    : TypeDef<LLM_Dialect, name, traits> {
  let mnemonic = typeMnemonic;
  let genVerifyDecl = 1;
}

def LLM_PagedKVCache : LLM_Type<"PagedKVCache", "paged_kv_cache"> {
  let summary = "A paged cache of keys and values, with everything its layout depends on";
  let description = [{
    Keys and values of all tokens of all sequences, cut into blocks of a fixed number of tokens. The
    parameters are, in this order: element type, layers, KV heads, head size, tokens of a block,
    longest sequence. Then come named ones, each with a default that is not printed:

    | name | meaning | default |
    |---|---|---|
    | `key_storage` | type in which keys are stored: f32, f16, bf16, f8E4M3FN, f8E5M2, i8 or i4 | the element type |
    | `value_storage` | type in which values are stored | the element type |
    | `value_head_dim` | channels of a value | the head size |
    | `key_scales` | what shares a key's scale: `none`, `tensor`, `head`, `token`, `group` | `none` |
    | `value_scales` | what shares a value's scale | `none` |
    | `key_scale_group` | channels of a group, for `key_scales = group` | |
    | `value_scale_group` | channels of a group, for `value_scales = group` | |
    | `scale` | type of a scale that is stored: f32, f16 or bf16 | `f32` |
    | `layout` | `channel_major` or `token_major` keys, or `pairs` of channels and tokens | `channel_major` |
    | `window` | a token attends to this many last positions, its own included | all |
    | `sinks` | and to this many first positions | 0 |

    The element type is what the cache holds logically, and what a lookup gives. Codes of i8 and i4
    need scales; fp8 may have them. Scales of a tensor (all layers and heads) or head (of a layer)
    are constants of the model, in f32; those of a token (of a head) or group (of a token's channels)
    are computed when the token is stored, and lie in its block as `scale` says.

    Layers that differ in any of this are in separate caches.

    Value semantics: an op that extends a cache takes it and gives the next one. The cache that was
    taken must not be used again.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    !kv_half = !llm.paged_kv_cache<f32, 12, 16, 64, 16, 4096, key_storage = f16,
                                   value_storage = f16>
    // Keys in 8 bits with a scale for each token and head, values in 4 with one for 32 channels.
    !kv_mixed = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096, key_storage = i8,
                                    value_storage = i4, key_scales = token, value_scales = group,
                                    value_scale_group = 32, scale = f16>
    // Latent heads, and a layer that sees 4 first and 1020 last positions.
    !kv_latent = !llm.paged_kv_cache<bf16, 60, 1, 576, 16, 4096, value_head_dim = 512>
    !kv_window = !llm.paged_kv_cache<bf16, 6, 8, 64, 16, 4096, layout = pairs, window = 1020,
                                     sinks = 4>
    func.func private @use(!kv, !kv_half, !kv_mixed, !kv_latent, !kv_window)
    ```
  }];
  let parameters = (ins
    "::mlir::Type":$elementType, "int64_t":$numLayers, "int64_t":$numKVHeads, "int64_t":$headDim,
    "int64_t":$blockSize, "int64_t":$maxSeqLen, "::mlir::Type":$keyStorage,
    "::mlir::Type":$valueStorage, "int64_t":$valueHeadDim,
    "::mlir::llm::ScaleGranularity":$keyScales, "::mlir::llm::ScaleGranularity":$valueScales,
    "int64_t":$keyScaleGroup, "int64_t":$valueScaleGroup, "::mlir::Type":$scaleType,
    "::mlir::llm::CacheArrangement":$arrangement, "int64_t":$window, "int64_t":$numSinks);
  let builders = [
    // All named parameters at their defaults.
    TypeBuilderWithInferredContext<(ins "::mlir::Type":$elementType, "int64_t":$numLayers,
        "int64_t":$numKVHeads, "int64_t":$headDim, "int64_t":$blockSize, "int64_t":$maxSeqLen), [{
      return get(elementType.getContext(),
                 PagedKVCacheParameters::get(elementType, numLayers, numKVHeads, headDim, blockSize,
                                             maxSeqLen));
    }]>,
    // Storage types and value head size given, the rest at their defaults.
    TypeBuilder<(ins "::mlir::Type":$elementType, "int64_t":$numLayers, "int64_t":$numKVHeads,
        "int64_t":$headDim, "int64_t":$blockSize, "int64_t":$maxSeqLen,
        "::mlir::Type":$keyStorage, "::mlir::Type":$valueStorage, "int64_t":$valueHeadDim), [{
      return $_get($_ctxt, elementType, numLayers, numKVHeads, headDim, blockSize, maxSeqLen,
                   keyStorage, valueStorage, valueHeadDim, ScaleGranularity::None,
                   ScaleGranularity::None, int64_t(0), int64_t(0), Float32Type::get($_ctxt),
                   CacheArrangement::ChannelMajor, int64_t(0), int64_t(0));
    }]>,
    TypeBuilder<(ins "const ::mlir::llm::PagedKVCacheParameters &":$p), [{
      return $_get($_ctxt, p.elementType, p.numLayers, p.numKVHeads, p.headDim, p.blockSize,
                   p.maxSeqLen, p.keyStorage, p.valueStorage, p.valueHeadDim, p.keyScales,
                   p.valueScales, p.keyScaleGroup, p.valueScaleGroup, p.scaleType, p.arrangement,
                   p.window, p.numSinks);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    /// All parameters; change some and build another type of them.
    PagedKVCacheParameters getParameters() const;

    /// Most blocks that one sequence can have.
    int64_t getMaxBlocksPerSequence() const {
      return (getMaxSeqLen() + getBlockSize() - 1) / getBlockSize();
    }

    /// Where everything lies in the pool; the only source of addresses (docs/CacheLayout.md).
    ::llmir_cache_layout getLayout() const;
  }];
}

def LLM_QuantizedTensor : LLM_Type<"QuantizedTensor", "quantized_tensor"> {
  let summary = "A tensor of integer codes with scales";
  let description = [{
    The parameters are, in this order: storage type of a code, shape (`?` allowed), symmetric,
    per channel, axis along which scales vary (-1: none), group size along the axis (-1: none), bits
    of a code. Then come named ones, each with a default that is not printed:

    | name | meaning | default |
    |---|---|---|
    | `element` | logical element type | `f32` |
    | `scale` | type of a scale | `f32` |
    | `zero_point` | type of a zero point; only where not symmetric | the storage type |
    | `packing` | `dense`: codes in order; `halves`: the low bits of a group's bytes hold its first half | `dense` |

    `symmetric` and `asymmetric` may be written for the first flag, `per_channel` and `per_tensor`
    for the second, and a shape as `[16 x 1024]`.

    A symmetric code c stands for scale * c. Otherwise, with an integer zero point z, it stands for
    scale * (c - z); with a float zero point, which is a minimum, for scale * c + z, c unsigned.

    ```mlir
    llm.weight @q8_0 : !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 32, 8, scale = f16>
    llm.weight @q4_1 : !llm.quantized_tensor<i4, [16, 1024], false, true, 1, 32, 4, scale = f16,
                                             zero_point = f16>
    llm.weight @int8 : !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>
    llm.weight @same : !llm.quantized_tensor<i8, [16 x 1024], symmetric, per_channel, 1, 128, 8>
    ```
  }];
  let parameters = (ins
    "::mlir::Type":$storageType, ArrayRefParameter<"int64_t">:$shape, "bool":$symmetric,
    "bool":$perChannel, "int64_t":$axis, "int64_t":$groupSize, "int64_t":$bits,
    "::mlir::Type":$elementType, "::mlir::Type":$scaleType,
    OptionalParameter<"::mlir::Type">:$zeroPointType, "::mlir::llm::Packing":$packing);
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
    int64_t getRank() const { return getShape().size(); }
  }];
}

def LLM_ShardedTensor : LLM_Type<"ShardedTensor", "sharded_tensor"> {
  let summary = "One shard of a tensor that is split along a dimension";
  let description = [{
    The parameters are: the whole tensor, the dimension that is split, the number of shards, and
    which of them this is. The number of shards divides the dimension.

    ```mlir
    // The third quarter of the columns.
    func.func private @use(!llm.sharded_tensor<tensor<4096x4096xf16>, 1, 4, 2>)
    ```
  }];
  let parameters = (ins
    "::mlir::RankedTensorType":$tensorType, "int64_t":$dimension, "int64_t":$numShards,
    "int64_t":$index);
  let assemblyFormat = "`<` $tensorType `,` $dimension `,` $numShards `,` $index `>`";
  let extraClassDeclaration = [{
    /// The tensor that this shard holds.
    ::mlir::RankedTensorType getShardType() const;
  }];
}

def LLM_StepContext : TypeDef<LLM_Dialect, "StepContext"> {
  let mnemonic = "step_context";
  let summary = "What a step knows about where it runs";
  let description = [{
    Opaque: the rank of this process, the number of processes, and the collectives between them.

    ```mlir
    func.func private @step(%context: !llm.step_context, %tokens: tensor<?xi32>)
    ```
  }];
}

#endif // LLMIR_DIALECT_LLM_IR_LLMTYPES_TD
