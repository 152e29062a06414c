// Attention: dense, and over paged KV caches.

#ifndef LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD
#define LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupAttention : OpDocGroup {
  let summary = "Attention";
  let description = [{
    Attention of new tokens to everything that a sequence's cache holds, or to keys and values that
    are tensors. A group of num_heads / (KV heads) query heads shares one KV head.

    The score of query head h at position p for the key at position j is q . k * `scale`; then, in
    this order, each where given: `soft_cap` c turns a score s into c * tanh(s / c);
    `alibi_slopes` adds slopes[h] * (j - p); the mask applies; `window` w leaves the keys with
    p - w < j and, with `num_sinks` n, those with j < n. The softmax over what is left is in f32.
    `sink_logits` has a learned logit for each query head that joins the softmax's denominator and
    has no value. A token that sees no key gets zeros.
  }];
}

let opDocGroup = LLM_OpGroupAttention in {

def LLM_PagedAttentionOp : LLM_CacheOp<"paged_attention", [
    AttrSizedOperandSegments, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Causal attention to a paged KV cache";
  let description = [{
    Each query attends to the keys and values of its own sequence, which it finds through the
    sequence's row of the block table. `seq_lens` are the lengths of the contexts, this step's
    tokens included: token i of the q tokens of a sequence with a context of c tokens attends to the
    positions 0 to c - q + i.

    The query is either *padded*, [batch, tokens, heads, head size], or *ragged*, [tokens, heads,
    head size] with `cu_lengths`: sequence s owns the tokens `cu_lengths[s]` to
    `cu_lengths[s + 1]` - 1. The output has the cache's value head size.

    Window and sinks are the cache's: a block that has left the window may be gone, so a kernel that
    expects another window than the cache has must not run. The attributes `window` and `num_sinks`
    state what the op expects, and do not verify if the cache differs.

    `tree_mask` is for drafts that form a tree: bit j of a token's mask says that it sees the j-th
    token of its sequence in this step (so at most 64 of them); what came before the step is seen by
    all. The place of a token in the cache is then not its position; `positions` has that, for the
    window and `alibi_slopes`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @padded(%q: tensor<2x1x16x64xf16>, %kv: !kv, %table: tensor<2x128xi32>,
                      %lens: tensor<2xi32>) -> tensor<2x1x16x64xf16> {
      %o = llm.paged_attention %q, %kv, %table, %lens
          {num_heads = 16 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
          : (tensor<2x1x16x64xf16>, !kv, tensor<2x128xi32>, tensor<2xi32>)
          -> tensor<2x1x16x64xf16>
      return %o : tensor<2x1x16x64xf16>
    }
    func.func @ragged(%q: tensor<?x32x64xf32>, %kv: !kv, %table: tensor<?x?xi32>,
                      %lens: tensor<?xi32>, %cu: tensor<?xi32>) -> tensor<?x32x64xf32> {
      %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu)
          {num_heads = 32 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 11 : i32}
          : (tensor<?x32x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x32x64xf32>
      return %o : tensor<?x32x64xf32>
    }

    // A layer with a window, a learned sink and a soft cap; 8-bit keys and values.
    !kv8 = !llm.paged_kv_cache<bf16, 24, 8, 64, 16, 8192, key_storage = i8, value_storage = i8,
                               key_scales = token, value_scales = token, window = 128>
    llm.weight @sinks : tensor<64xf32>
    func.func @window(%q: tensor<?x64x64xf32>, %kv: !kv8, %table: tensor<?x?xi32>,
                      %lens: tensor<?xi32>, %cu: tensor<?xi32>, %tree: tensor<?xi64>,
                      %positions: tensor<?xi32>) -> tensor<?x64x64xf32> {
      %sinks = llm.load_weight @sinks : tensor<64xf32>
      %o = llm.paged_attention %q, %kv, %table, %lens cu_lengths(%cu) sink_logits(%sinks)
          tree_mask(%tree) positions(%positions)
          {num_heads = 64 : i32, head_dim = 64 : i32, scale = 0.125 : f32, window = 128 : i32,
           soft_cap = 30.0 : f32}
          : (tensor<?x64x64xf32>, !kv8, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>,
             tensor<64xf32>, tensor<?xi64>, tensor<?xi32>) -> tensor<?x64x64xf32>
      return %o : tensor<?x64x64xf32>
    }
    ```
  }];
  let arguments = (ins
    LLM_AnyHeads:$query, LLM_PagedKVCache:$cache,
    LLM_AnyIndexTable:$block_table, LLM_AnyIndices:$seq_lens, Optional<LLM_AnyIndices>:$cu_lengths,
    Optional<Index>:$layer_index, Optional<LLM_AnyVector>:$sink_logits,
    Optional<LLM_AnyTreeMask>:$tree_mask, Optional<LLM_AnyIndices>:$positions, I32Attr:$num_heads,
    I32Attr:$head_dim, F32Attr:$scale, DefaultValuedAttr<I32Attr, "0">:$layer,
    OptionalAttr<I32Attr>:$window, OptionalAttr<I32Attr>:$num_sinks,
    OptionalAttr<F32Attr>:$soft_cap, OptionalAttr<DenseF32ArrayAttr>:$alibi_slopes);
  let results = (outs LLM_AnyHeads:$output);
  let assemblyFormat = [{
    $query `,` $cache `,` $block_table `,` $seq_lens (`cu_lengths` `(` $cu_lengths^ `)`)?
    (`layer` `(` $layer_index^ `)`)? (`sink_logits` `(` $sink_logits^ `)`)?
    (`tree_mask` `(` $tree_mask^ `)`)? (`positions` `(` $positions^ `)`)?
    `` custom<OrderedAttributes>(attr-dict) `:` functional-type(operands, results)
  }];
  let builders = [
    // Without sinks, trees, caps and slopes.
    OpBuilder<(ins "::mlir::Type":$output, "::mlir::Value":$query, "::mlir::Value":$cache,
                   "::mlir::Value":$block_table, "::mlir::Value":$seq_lens,
                   "::mlir::Value":$cu_lengths, "::mlir::Value":$layer_index,
                   "uint32_t":$num_heads, "uint32_t":$head_dim, "::llvm::APFloat":$scale,
                   CArg<"uint32_t", "0">:$layer)>
  ];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_AttentionOp : LLM_ComputeOp<"attention", [
    AttrSizedOperandSegments, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Attention to keys and values that are tensors";
  let description = [{
    The query is *padded*, [batch, tokens, heads, head size], with keys and values of [batch, keys,
    KV heads, head size], of which the first `key_lengths[b]` count where that is given; or
    *ragged*, [tokens, heads, head size], with `cu_lengths` for its tokens and `cu_key_lengths` for
    the keys (without the latter, `cu_lengths` is for both). Values may have another head size than
    keys, and the output has theirs.

    With `causal`, token i of the q tokens of a sequence with k keys sees the keys 0 to k - q + i;
    its position, for the window and `alibi_slopes`, is k - q + i with or without `causal`.
    `mask` is [batch or 1, heads or 1, queries, keys]: a boolean, true where a key is seen, or what
    is added to a score.

    ```mlir
    func.func @padded(%q: tensor<2x7x8x64xf32>, %k: tensor<2x9x2x64xf32>,
                      %v: tensor<2x9x2x80xf32>, %mask: tensor<1x1x7x9xi1>)
        -> tensor<2x7x8x80xf32> {
      %o = llm.attention %q, %k, %v mask(%mask) {num_heads = 8 : i32, scale = 0.125 : f32}
          : (tensor<2x7x8x64xf32>, tensor<2x9x2x64xf32>, tensor<2x9x2x80xf32>,
             tensor<1x1x7x9xi1>) -> tensor<2x7x8x80xf32>
      return %o : tensor<2x7x8x80xf32>
    }
    func.func @ragged(%q: tensor<?x8x64xbf16>, %k: tensor<?x2x64xbf16>, %v: tensor<?x2x64xbf16>,
                      %cu: tensor<?xi32>) -> tensor<?x8x64xbf16> {
      %o = llm.attention %q, %k, %v cu_lengths(%cu)
          {num_heads = 8 : i32, scale = 0.125 : f32, causal, window = 256 : i32, num_sinks = 4 : i32}
          : (tensor<?x8x64xbf16>, tensor<?x2x64xbf16>, tensor<?x2x64xbf16>, tensor<?xi32>)
          -> tensor<?x8x64xbf16>
      return %o : tensor<?x8x64xbf16>
    }
    ```
  }];
  let arguments = (ins
    LLM_AnyHeads:$query, LLM_AnyHeads:$keys, LLM_AnyHeads:$values,
    Optional<LLM_AnyAttentionMask>:$mask, Optional<LLM_AnyIndices>:$key_lengths,
    Optional<LLM_AnyIndices>:$cu_lengths, Optional<LLM_AnyIndices>:$cu_key_lengths,
    Optional<LLM_AnyVector>:$sink_logits, I32Attr:$num_heads, F32Attr:$scale, UnitAttr:$causal,
    OptionalAttr<I32Attr>:$window, OptionalAttr<I32Attr>:$num_sinks,
    OptionalAttr<F32Attr>:$soft_cap, OptionalAttr<DenseF32ArrayAttr>:$alibi_slopes);
  let results = (outs LLM_AnyHeads:$output);
  let assemblyFormat = [{
    $query `,` $keys `,` $values (`mask` `(` $mask^ `)`)? (`key_lengths` `(` $key_lengths^ `)`)?
    (`cu_lengths` `(` $cu_lengths^ `)`)? (`cu_key_lengths` `(` $cu_key_lengths^ `)`)?
    (`sink_logits` `(` $sink_logits^ `)`)? `` custom<OrderedAttributes>(attr-dict) `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD
