// Making, extending and reading paged KV caches.

#ifndef LLMIR_DIALECT_LLM_IR_KVCACHEOPS_TD
#define LLMIR_DIALECT_LLM_IR_KVCACHEOPS_TD

include "llmir/Dialect/LLM/IR/LLMAttributes.td"
include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupKVCache : OpDocGroup {
  let summary = "KV cache";
  let description = [{
    Ops on `!llm.paged_kv_cache`. `append_kv`, `reserve_kv`, `store_kv`, `rope_store_kv` and
    `free_sequences` consume their cache and give the next one; `free_kv_cache` ends it. Keys and
    values belong to one layer: the attribute `layer` (default 0) or the operand in `layer(...)` says
    to which.

    Where these ops, and those of attention and speculation on caches, take tensors they take buffers
    as well; that is what `one-shot-bufferize` makes of them. The cache is the same value in both
    forms and is changed in place. A result that is a buffer is new, and the caller frees it.
  }];
}

let opDocGroup = LLM_OpGroupKVCache in {

def LLM_CreateKVCacheOp : LLM_StepOp<"create_kv_cache"> {
  let summary = "Make an empty cache of a number of blocks";
  let description = [{
    ```mlir
    func.func @f(%blocks: index) -> !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096> {
      %kv = llm.create_kv_cache %blocks : !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
      return %kv : !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    }
    ```
  }];
  let arguments = (ins Index:$num_blocks);
  let results = (outs Res<LLM_PagedKVCache, "", [LLM_AllocatesCache]>:$cache);
  let assemblyFormat = "$num_blocks attr-dict `:` type($cache)";
}

def LLM_FreeKVCacheOp : LLM_StepOp<"free_kv_cache", [
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "Give a cache and all its memory back";
  let description = [{
    Consumes the cache. It ends all sequences.

    ```mlir
    func.func @f(%kv: !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>) {
      llm.free_kv_cache %kv : !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
      return
    }
    ```
  }];
  let arguments = (ins Arg<LLM_PagedKVCache, "", [LLM_FreesCache, LLM_WritesCache]>:$cache);
  let assemblyFormat = "$cache attr-dict `:` type($cache)";
  let hasCanonicalizeMethod = 1;
}

def LLM_AppendKVOp : LLM_CacheOp<"append_kv", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "Append tokens to sequences, making room for them";
  let description = [{
    Appends `tokens` tokens to each of `batch` sequences, named by `seq_ids`. Keys and values are
    [batch, tokens, heads, head size], or [batch, heads, head size] for one token each. Consumes
    `cache`. The second result, [batch, tokens], is the block in which each token lies; the table
    that attention reads comes from `llm.block_table`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                 %seqs: tensor<2xi32>) -> !kv {
      %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs
          {block_size = 16 : i32, max_seq_len = 4096 : i32}
          : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>)
          -> (!kv, tensor<2x1xi32>)
      return %kv1 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyHeads:$keys,
    LLM_AnyHeads:$values, LLM_AnyIndices:$seq_ids, Optional<Index>:$layer_index,
    I32Attr:$block_size, I32Attr:$max_seq_len, DefaultValuedAttr<I32Attr, "0">:$layer);
  let results = (outs LLM_PagedKVCache:$new_cache, LLM_AnyIndexTable:$block_indices);
  let assemblyFormat = [{
    $cache `,` $keys `,` $values `,` $seq_ids (`layer` `(` $layer_index^ `)`)?
    `` custom<OrderedAttributes>(attr-dict) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_ReserveKVOp : LLM_CacheOp<"reserve_kv", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "Make room for tokens of sequences and say where they go";
  let description = [{
    What the host does of an append: finds blocks for `tokens` more tokens of each of the sequences
    `seq_ids`, starting those that the cache does not know. The number of tokens is an attribute or
    the operand in `tokens(...)`. Consumes `cache`. The second result is the slot of each token, all
    of the first sequence, then all of the second, for `llm.store_kv` in any layer; the third, [batch,
    tokens], is the block in which each token lies. Until it is stored a token's content is undefined.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %seqs: tensor<2xi32>, %n: index) -> !kv {
      %kv1, %slots, %blocks = llm.reserve_kv %kv0, %seqs {tokens = 3 : i32}
          : (!kv, tensor<2xi32>) -> (!kv, tensor<6xi32>, tensor<2x3xi32>)
      %kv2, %more, %others = llm.reserve_kv %kv1, %seqs tokens(%n)
          : (!kv, tensor<2xi32>, index) -> (!kv, tensor<?xi32>, tensor<2x?xi32>)
      return %kv2 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids, Optional<Index>:$token_count,
    OptionalAttr<I32Attr>:$tokens);
  let results = (outs
    LLM_PagedKVCache:$new_cache, LLM_AnyIndices:$slots, LLM_AnyIndexTable:$block_indices);
  let extraClassDeclaration = [{
    static bool isCompatibleReturnTypes(::mlir::TypeRange inferred, ::mlir::TypeRange actual);
  }];
  let assemblyFormat = [{
    $cache `,` $seq_ids (`tokens` `(` $token_count^ `)`)? attr-dict
    `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_StoreKVOp : LLM_CacheOp<"store_kv", [
    AllTypesMatch<["cache", "new_cache"]>, // (KV-18)
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "Write keys and values into slots that the scheduler chose";
  let description = [{
    Writes row i of `keys` and `values`, [tokens, heads, head size], into slot `slots[i]` =
    block * block size + offset of the layer; a negative slot is skipped. Rows of a padded batch,
    [batch, tokens, heads, head size], are counted through. Consumes `cache`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 30, 3, 64, 16, 8192>
    func.func @f(%kv0: !kv, %k: tensor<?x3x64xf32>, %v: tensor<?x3x64xf32>, %slots: tensor<?xi32>,
                 %i: index) -> !kv {
      %kv1 = llm.store_kv %kv0, %k, %v, %slots {layer = 7 : i32}
          : (!kv, tensor<?x3x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>) -> !kv
      %kv2 = llm.store_kv %kv1, %k, %v, %slots layer(%i)
          : (!kv, tensor<?x3x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>, index) -> !kv
      return %kv2 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyHeads:$keys, LLM_AnyHeads:$values,
    LLM_AnyIndices:$slots, Optional<Index>:$layer_index, DefaultValuedAttr<I32Attr, "0">:$layer);
  let results = (outs LLM_PagedKVCache:$new_cache);
  let assemblyFormat = [{
    $cache `,` $keys `,` $values `,` $slots (`layer` `(` $layer_index^ `)`)?
    `` custom<OrderedAttributes>(attr-dict) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_RopeStoreKVOp : LLM_CacheOp<"rope_store_kv", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>,
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "Rotate queries and keys, and write keys and values into slots";
  let description = [{
    `llm.rope` on `queries` and `keys` and `llm.store_kv` of the rotated keys and of `values` in one:
    what stands between the projection of a layer and its attention, token by token. Gives the next
    cache and the rotated queries; rotated keys are in the cache alone. Bytes are those of the two.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 30, 3, 64, 16, 8192>
    func.func @f(%kv0: !kv, %q: tensor<?x9x64xf32>, %k: tensor<?x3x64xf32>, %v: tensor<?x3x64xf32>,
                 %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> (!kv, tensor<?x9x64xf32>) {
      %kv1, %rotated = llm.rope_store_kv %kv0, %k, %v, %slots queries(%q) positions(%positions)
          theta(1.0e+5) rotary_dim(64) interleaved {layer = 7 : i32}
          : (!kv, tensor<?x3x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>, tensor<?x9x64xf32>,
             tensor<?xi32>) -> (!kv, tensor<?x9x64xf32>)
      return %kv1, %rotated : !kv, tensor<?x9x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_HeadsTensor:$keys, LLM_HeadsTensor:$values, LLM_Indices:$slots,
    Variadic<LLM_HeadsTensor>:$queries, LLM_Indices:$positions, F32Attr:$theta,
    I32Attr:$rotary_dim, LLM_RopeStyleAttr:$style,
    OptionalAttr<FlatSymbolRefAttr>:$frequency_factors, OptionalAttr<LLM_RopeScalingAttr>:$scaling,
    DefaultValuedAttr<I32Attr, "0">:$layer);
  let results = (outs LLM_PagedKVCache:$new_cache, Variadic<LLM_HeadsTensor>:$rotated);
  let assemblyFormat = [{
    $cache `,` $keys `,` $values `,` $slots (`queries` `(` $queries^ `)`)?
    `positions` `(` $positions `)` `theta` `(` $theta `)` `rotary_dim` `(` $rotary_dim `)`
    custom<Keyword>($style) (`frequency_factors` `(` $frequency_factors^ `)`)?
    (`scaling` `(` $scaling^ `)`)? attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_LookupKVOp : LLM_CacheOp<"lookup_kv"> {
  let summary = "Read the keys and values of sequences";
  let description = [{
    Gathers the first `seq_lens[s]` keys and values of each sequence s through its row of the block
    table, as [batch, tokens, heads, head size]; what lies past a sequence's end is zero.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv: !kv, %table: tensor<2x128xi32>, %lens: tensor<2xi32>)
        -> tensor<2x?x16x64xf16> {
      %k, %v = llm.lookup_kv %kv, %table, %lens {layer = 3 : i32}
          : (!kv, tensor<2x128xi32>, tensor<2xi32>)
          -> (tensor<2x?x16x64xf16>, tensor<2x?x16x64xf16>)
      return %k : tensor<2x?x16x64xf16>
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndexTable:$block_table,
    LLM_AnyIndices:$seq_lens, Optional<Index>:$layer_index, DefaultValuedAttr<I32Attr, "0">:$layer);
  let results = (outs LLM_PaddedHeads:$keys, LLM_PaddedHeads:$values);
  let assemblyFormat = [{
    $cache `,` $block_table `,` $seq_lens (`layer` `(` $layer_index^ `)`)?
    `` custom<OrderedAttributes>(attr-dict) `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_BlockTableOp : LLM_CacheOp<"block_table"> {
  let summary = "List the blocks of sequences in order of position";
  let description = [{
    Row s of the result lists the blocks of sequence `seq_ids[s]`; entries past its end are 0.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv: !kv, %seqs: tensor<2xi32>) -> tensor<2x128xi32> {
      %table = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x128xi32>
      return %table : tensor<2x128xi32>
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids);
  let results = (outs LLM_AnyIndexTable:$table);
  let assemblyFormat = [{
    $cache `,` $seq_ids attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_SequenceLengthsOp : LLM_CacheOp<"sequence_lengths", [
    DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "How many tokens sequences have";
  let description = [{
    Element s of the result is the number of tokens of sequence `seq_ids[s]`, 0 for one that the
    cache does not know.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv: !kv, %seqs: tensor<2xi32>) -> tensor<2xi32> {
      %lengths = llm.sequence_lengths %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
      return %lengths : tensor<2xi32>
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids);
  let results = (outs LLM_AnyIndices:$lengths);
  let assemblyFormat = [{
    $cache `,` $seq_ids attr-dict `:` functional-type(operands, results)
  }];
}

def LLM_FreeSequencesOp : LLM_CacheOp<"free_sequences", [
    AllTypesMatch<["cache", "new_cache"]>, // (KV-20)
    DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>]> {
  let summary = "End sequences and give their blocks back";
  let description = [{
    A block goes back to the pool when the last sequence that has it ends. Consumes `cache`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %seqs: tensor<2xi32>) -> !kv {
      %kv1 = llm.free_sequences %kv0, %seqs : (!kv, tensor<2xi32>) -> !kv
      return %kv1 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids);
  let results = (outs LLM_PagedKVCache:$new_cache);
  let assemblyFormat = [{
    $cache `,` $seq_ids attr-dict `:` functional-type(operands, results)
  }];
  let hasCanonicalizeMethod = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_KVCACHEOPS_TD
