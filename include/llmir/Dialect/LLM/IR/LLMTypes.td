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
    | `key_storage` | type in which keys are stored | the element type |
    | `value_storage` | type in which values are stored | the element type |
    | `value_head_dim` | channels of a value | the head size |

    The element type is what the cache holds logically, and what a lookup gives.

    Value semantics: an op that extends a cache takes it and gives the next one. The cache that was
    taken must not be used again.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    !kv_half = !llm.paged_kv_cache<f32, 12, 16, 64, 16, 4096, key_storage = f16,
                                   value_storage = f16>
    func.func private @use(!kv, !kv_half)
    ```
  }];
  let parameters = (ins
    "::mlir::Type":$elementType, "int64_t":$numLayers, "int64_t":$numKVHeads, "int64_t":$headDim,
    "int64_t":$blockSize, "int64_t":$maxSeqLen, "::mlir::Type":$keyStorage,
    "::mlir::Type":$valueStorage, "int64_t":$valueHeadDim);
  let builders = [
    TypeBuilderWithInferredContext<(ins "::mlir::Type":$elementType, "int64_t":$numLayers,
        "int64_t":$numKVHeads, "int64_t":$headDim, "int64_t":$blockSize, "int64_t":$maxSeqLen), [{
      return $_get(elementType.getContext(), elementType, numLayers, numKVHeads, headDim, blockSize,
                   maxSeqLen, elementType, elementType, headDim);
    }]>
  ];
  let hasCustomAssemblyFormat = 1;
  let extraClassDeclaration = [{
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

    A symmetric code c stands for scale * c. Otherwise, with an integer zero point z, it stands for
    scale * (c - z); with a float zero point, which is a minimum, for scale * c + z, c unsigned.

    ```mlir
    llm.weight @q8_0 : !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 32, 8, scale = f16>
    llm.weight @q4_1 : !llm.quantized_tensor<i4, [16, 1024], false, true, 1, 32, 4, scale = f16,
                                             zero_point = f16>
    llm.weight @int8 : !llm.quantized_tensor<i8, [16, 1024], true, true, 1, 128, 8>
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
