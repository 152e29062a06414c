// Speculative decoding: drafts in branches of a cache, their verification, and what follows.

#ifndef LLMIR_DIALECT_LLM_IR_SPECULATIONOPS_TD
#define LLMIR_DIALECT_LLM_IR_SPECULATIONOPS_TD

include "llmir/Dialect/LLM/IR/LLMOpBase.td"

def LLM_OpGroupSpeculation : OpDocGroup {
  let summary = "Speculation";
  let description = [{
    A cheap model drafts tokens; one step of the real model scores all of them; `verify` says which
    to keep. `fork` starts drafts as branches that share their past, `commit` keeps what was accepted,
    `rollback` shortens sequences. The ops on caches consume them.
  }];
}

/// An op that takes a cache and something about some of its sequences, and gives the next cache.
class LLM_SequencesOp<string mnemonic, list<Trait> traits = []> : LLM_CacheOp<mnemonic,
    !listconcat(traits, [
        AllTypesMatch<["cache", "new_cache"]>, // (SPEC-1)
        DeclareOpInterfaceMethods<LLM_CacheConsumerOpInterface>])> {
  let results = (outs LLM_PagedKVCache:$new_cache);
}

let opDocGroup = LLM_OpGroupSpeculation in {

def LLM_ForkOp : LLM_SequencesOp<"fork"> {
  let summary = "Start sequences that share the past of others";
  let description = [{
    Sequence `children[i]`, which must be new, starts with the tokens of sequence `parents[i]`. No
    token is copied until one of the two appends to a block that both have. Consumes `cache`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %parents: tensor<4xi32>, %children: tensor<4xi32>) -> !kv {
      %kv1 = llm.fork %kv0, %parents, %children : (!kv, tensor<4xi32>, tensor<4xi32>) -> !kv
      return %kv1 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$parents,
    LLM_AnyIndices:$children);
  let assemblyFormat = [{
    $cache `,` $parents `,` $children attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_VerifyOp : LLM_ComputeOp<"verify", [AttrSizedOperandSegments]> {
  let summary = "Decide which drafted tokens to keep";
  let description = [{
    `draft_tokens` are the tokens of a step, packed one sequence after another: of sequence s the
    tokens `cu_lengths[s]` to `cu_lengths[s + 1]` - 1, first the last token that is certain, then its
    drafts. Row i of `logits` scores what may follow token i.

    Without `parents` a sequence's drafts are a chain; with it they are a tree, and `parents[i]` is
    the token, counted from the sequence's first, that token i follows (-1 for the first).

    Without `uniforms` a draft is kept if it has the highest score after its kept parent. With
    `uniforms`, a number in [0, 1) for each token, it is kept with the probability p that the model
    gives it; with `draft_probabilities`, the distributions from which the drafts came, with
    min(1, p / q). The outcome has the distribution of the model alone.

    `accepted` is how many drafts of each sequence are kept, `path` ([sequences, drafts]) which ones,
    padded with -1, and `next_tokens` the token that follows them.

    ```mlir
    func.func @f(%logits: tensor<?x1000xf32>, %drafts: tensor<?xi32>, %cu: tensor<3xi32>,
                 %parents: tensor<?xi32>) -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>) {
      %accepted, %path, %next = llm.verify %logits, %drafts, %cu parents(%parents)
          : (tensor<?x1000xf32>, tensor<?xi32>, tensor<3xi32>, tensor<?xi32>)
          -> (tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>)
      return %accepted, %path, %next : tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>
    }
    ```
  }];
  let arguments = (ins
    LLM_FeatureTensor:$logits, LLM_Indices:$draft_tokens, LLM_Indices:$cu_lengths,
    Optional<LLM_Indices>:$parents, Optional<LLM_Vector>:$uniforms,
    Optional<LLM_FeatureTensor>:$draft_probabilities);
  let results = (outs LLM_Indices:$accepted, LLM_IndexTable:$path, LLM_Indices:$next_tokens);
  let assemblyFormat = [{
    $logits `,` $draft_tokens `,` $cu_lengths (`parents` `(` $parents^ `)`)?
    (`uniforms` `(` $uniforms^ `)`)? (`draft_probabilities` `(` $draft_probabilities^ `)`)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def LLM_CommitOp : LLM_SequencesOp<"commit"> {
  let summary = "Keep accepted drafts and drop the others";
  let description = [{
    Of the last `drafted[s]` tokens of sequence `seq_ids[s]` the first `accepted[s]` stay, and the
    others go. With `path`, as `llm.verify` gives it, the drafts are a tree, and those that stay are
    moved to follow one another. Consumes `cache`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %seqs: tensor<2xi32>, %drafted: tensor<2xi32>,
                 %accepted: tensor<2xi32>, %path: tensor<2x4xi32>) -> !kv {
      %kv1 = llm.commit %kv0, %seqs, %drafted, %accepted path(%path)
          : (!kv, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>, tensor<2x4xi32>) -> !kv
      return %kv1 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids,
    LLM_AnyIndices:$drafted, LLM_AnyIndices:$accepted, Optional<LLM_AnyIndexTable>:$path);
  let assemblyFormat = [{
    $cache `,` $seq_ids `,` $drafted `,` $accepted (`path` `(` $path^ `)`)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

def LLM_RollbackOp : LLM_SequencesOp<"rollback"> {
  let summary = "Shorten sequences";
  let description = [{
    Sequence `seq_ids[s]` keeps its first `lengths[s]` tokens; a length that is not less than it has
    changes nothing. Consumes `cache`.

    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv0: !kv, %k: tensor<2x4x16x64xf16>, %v: tensor<2x4x16x64xf16>,
                 %seqs: tensor<2xi32>) -> !kv {
      %lengths = llm.sequence_lengths %kv0, %seqs : (!kv, tensor<2xi32>) -> tensor<2xi32>
      %kv1, %blocks = llm.append_kv %kv0, %k, %v, %seqs
          {block_size = 16 : i32, max_seq_len = 4096 : i32}
          : (!kv, tensor<2x4x16x64xf16>, tensor<2x4x16x64xf16>, tensor<2xi32>)
          -> (!kv, tensor<2x4xi32>)
      %kv2 = llm.rollback %kv1, %seqs, %lengths : (!kv, tensor<2xi32>, tensor<2xi32>) -> !kv
      return %kv2 : !kv
    }
    ```
  }];
  let arguments = (ins
    LLM_PagedKVCache:$cache, LLM_AnyIndices:$seq_ids,
    LLM_AnyIndices:$lengths);
  let assemblyFormat = [{
    $cache `,` $seq_ids `,` $lengths attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
  let hasFolder = 1;
}

} // opDocGroup

#endif // LLMIR_DIALECT_LLM_IR_SPECULATIONOPS_TD
