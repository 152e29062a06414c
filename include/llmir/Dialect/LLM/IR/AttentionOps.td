// Attention over paged KV caches.

#ifndef LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD
#define LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupAttention : OpDocGroup {
  let summary = "Attention";
  let description = "Attention of new tokens to everything that a sequence's cache holds.";
}

let opDocGroup = LLM_OpGroupAttention in {

def LLM_PagedAttentionOp : LLM_Op<"paged_attention", [
    AttrSizedOperandSegments, DeclareOpInterfaceMethods<InferTypeOpInterface>]> {
  let summary = "Causal attention to a paged KV cache";
  let description = [{
    Each query attends to the keys and values of its own sequence, which it finds through the
    sequence's row of the block table. `seq_lens` are the lengths of the contexts, this step's
    tokens included: token i of the q tokens of a sequence with a context of c tokens attends to the
    positions 0 to c - q + i.

    The query is either *padded*, [batch, tokens, heads, head size], or *ragged*, [tokens, heads,
    head size] with `cu_lengths`: sequence s owns the tokens `cu_lengths[s]` to
    `cu_lengths[s + 1]` - 1. A group of num_heads / (KV heads) query heads shares one KV head.

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
    ```
  }];
  let arguments = (ins
    LLM_AnyKVTensor:$query, Arg<LLM_PagedKVCache, "", [LLM_ReadsCache]>:$cache,
    LLM_IndexTable:$block_table, LLM_Indices:$seq_lens, Optional<LLM_Indices>:$cu_lengths,
    Optional<Index>:$layer_index, I32Attr:$num_heads, I32Attr:$head_dim, F32Attr:$scale,
    DefaultValuedAttr<I32Attr, "0">:$layer);
  let results = (outs LLM_AnyKVTensor:$output);
  let assemblyFormat = [{
    $query `,` $cache `,` $block_table `,` $seq_lens (`cu_lengths` `(` $cu_lengths^ `)`)?
    (`layer` `(` $layer_index^ `)`)? `` custom<OrderedAttributes>(attr-dict) `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_ATTENTIONOPS_TD
