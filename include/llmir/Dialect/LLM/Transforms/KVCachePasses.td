// Passes over KV caches: what checks, plans and moves the ops that own or fill them.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_KVCACHEPASSES_TD
#define LLMIR_DIALECT_LLM_TRANSFORMS_KVCACHEPASSES_TD

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

def PlanKVCachePass : Pass<"llm-plan-kv-cache", "::mlir::ModuleOp"> {
  let summary = "Choose storage, layout and block size of a step's KV caches under a byte budget";
  let description = [{
    Decides for each layer and each of keys and values how they are stored, so that a number of
    sequences fits into a number of bytes with the least expected error, and says why in remarks on
    the step. Layers that are stored unlike become separate caches: the step takes and returns each
    with its slots and table, in the place of the old one.

    *Storages.* What the cache has, f16 and bf16, f8E4M3FN and f8E5M2 and i8 with an f16 scale for
    each token, i4 with one for each token, 32 or 16 channels; never wider than the cache is, and on a
    GPU none with scales. *Block size.* For each storage the one of which a context's whole blocks
    (alignment included), the mean part of the last block that stays unused, and half a token of
    memory for each block cost least. *Layout.* `channel_major`, which attention on both targets reads.

    *Error.* A model, not a measurement: of relative errors squared, with normal channels; keys have
    channels that stand out by a factor of 2, which widens the step of integer codes; an error in keys
    moves scores, so it counts 2 squared times one in values; errors in the first layer count twice
    those in the last. Starting from the widest, the layer that loses least for a byte becomes
    narrower until all fit.

    Left alone: modules without a step. Refused: a budget that the narrowest storage exceeds, and
    caches of which a layer is an operand or which other ops use.

    Counts `layers-planned`, `caches`, `bytes-before` and `bytes-after`.

    Before:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 2, 2, 64, 16, 512>
    func.func @step(%context: !llm.step_context, %lens: tensor<?xi32>, %cu: tensor<?xi32>, %kv: !kv,
                    %slots: tensor<?xi32>, %table: tensor<?x?xi32>, %q: tensor<?x4x64xf32>,
                    %k: tensor<?x2x64xf32>) -> (tensor<?x4x64xf32>, !kv) attributes {llm.step} {
      %0 = llm.store_kv %kv, %k, %k, %slots
          : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
      %1 = llm.paged_attention %q, %0, %table, %lens cu_lengths(%cu)
          {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
          : (tensor<?x4x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x4x64xf32>
      %2 = llm.store_kv %0, %k, %k, %slots {layer = 1 : i32}
          : (!kv, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !kv
      %3 = llm.paged_attention %1, %2, %table, %lens cu_lengths(%cu)
          {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32, layer = 1 : i32}
          : (tensor<?x4x64xf32>, !kv, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x4x64xf32>
      return %3, %2 : tensor<?x4x64xf32>, !kv
    }
    ```
    After, with `kv-budget=250000`:
    ```mlir
    !wide = !llm.paged_kv_cache<f16, 1, 2, 64, 16, 512, key_storage = i8, value_storage = i8,
                                key_scales = token, value_scales = token, scale = f16>
    !narrow = !llm.paged_kv_cache<f16, 1, 2, 64, 32, 512, key_storage = i8, value_storage = i4,
                                  key_scales = token, value_scales = group,
                                  value_scale_group = 16, scale = f16>
    func.func @step(%context: !llm.step_context, %lens: tensor<?xi32>, %cu: tensor<?xi32>,
                    %wide: !wide, %slots: tensor<?xi32>, %table: tensor<?x?xi32>,
                    %narrow: !narrow, %slots1: tensor<?xi32>, %table1: tensor<?x?xi32>,
                    %q: tensor<?x4x64xf32>, %k: tensor<?x2x64xf32>)
        -> (tensor<?x4x64xf32>, !wide, !narrow) attributes {llm.step} {
      %0 = llm.store_kv %wide, %k, %k, %slots
          : (!wide, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !wide
      %1 = llm.paged_attention %q, %0, %table, %lens cu_lengths(%cu)
          {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
          : (tensor<?x4x64xf32>, !wide, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x4x64xf32>
      %2 = llm.store_kv %narrow, %k, %k, %slots1
          : (!narrow, tensor<?x2x64xf32>, tensor<?x2x64xf32>, tensor<?xi32>) -> !narrow
      %3 = llm.paged_attention %1, %2, %table1, %lens cu_lengths(%cu)
          {num_heads = 4 : i32, head_dim = 64 : i32, scale = 0.125 : f32}
          : (tensor<?x4x64xf32>, !narrow, tensor<?x?xi32>, tensor<?xi32>, tensor<?xi32>)
          -> tensor<?x4x64xf32>
      return %3, %0, %2 : tensor<?x4x64xf32>, !wide, !narrow
    }
    ```
  }];
  let options = [
    Option<"budget", "kv-budget", "int64_t", /*default=*/"0", "Bytes that all caches may take.">,
    Option<"sequences", "sequences", "int64_t", /*default=*/"1",
           "Sequences that have to fit at a time.">,
    Option<"context", "context", "int64_t", /*default=*/"0",
           "Tokens of each sequence; 0: the longest that the cache allows.">,
    ListOption<"blockSizes", "block-sizes", "int64_t",
               "Block sizes to choose from; powers of two from 8 to 256 when empty.">,
    Option<"target", "target", "::mlir::llm::KVCacheTarget",
           /*default=*/"::mlir::llm::KVCacheTarget::CPU",
           "The target whose kernels read the caches.",
           [{::llvm::cl::values(
               clEnumValN(::mlir::llm::KVCacheTarget::CPU, "cpu", "all storages"),
               clEnumValN(::mlir::llm::KVCacheTarget::GPU, "gpu", "storages without scales"))}]>,
    Option<"verbose", "verbose", "bool", /*default=*/"true",
           "Emit remarks on what was chosen and why.">
  ];
  let dependentDialects = ["::mlir::func::FuncDialect"];
}

def RemoveRedundantKVPass : Pass<"llm-remove-redundant-kv"> {
  let summary = "Remove reads and writes of KV caches that give what is known or that nobody sees";
  let description = [{
    Looks along the chain of each cache within a block, where every step is an op of the dialect:
    * A block table, lengths or a lookup that repeats an earlier one, with consumers between them that
      do not change it (stores, for lookups those of other layers), is the earlier one. CSE does this
      for one cache value only.
    * A lookup of a whole context, of which the only tokens were appended to a new cache before, is
      what was appended, if the cache stores elements as they are.
    * A store whose slots are all written again in that layer, before anything reads the layer, is not
      done.
    * An append of no tokens writes nothing, and an append or reservation for no sequence and a store
      of no tokens are not done.

    Left alone: what a call, a branch or another op could see; layers that are operands; repeated reads
    with an op between that moves or makes blocks; buffers, whose owner frees them.

    Counts `reads-removed`, `lookups-forwarded`, `stores-removed` and `empty-appends-removed`.

    Before:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 2, 2, 8, 4, 64>
    func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %v: tensor<?x2x8xf32>, %slots: tensor<?xi32>,
                 %seqs: tensor<2xi32>) -> (!kv, tensor<2x16xi32>, tensor<2x16xi32>) {
      %before = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
      %0 = llm.store_kv %kv, %k, %k, %slots
          : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
      %after = llm.block_table %0, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
      %1 = llm.store_kv %0, %k, %v, %slots
          : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
      return %1, %before, %after : !kv, tensor<2x16xi32>, tensor<2x16xi32>
    }
    ```
    After:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 2, 2, 8, 4, 64>
    func.func @f(%kv: !kv, %k: tensor<?x2x8xf32>, %v: tensor<?x2x8xf32>, %slots: tensor<?xi32>,
                 %seqs: tensor<2xi32>) -> (!kv, tensor<2x16xi32>, tensor<2x16xi32>) {
      %table = llm.block_table %kv, %seqs : (!kv, tensor<2xi32>) -> tensor<2x16xi32>
      %1 = llm.store_kv %kv, %k, %v, %slots
          : (!kv, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?xi32>) -> !kv
      return %1, %table, %table : !kv, tensor<2x16xi32>, tensor<2x16xi32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
}

def FuseKVAppendPass : Pass<"llm-fuse-kv-append"> {
  let summary = "Fuse the rotation of queries and keys with the store of keys and values";
  let description = [{
    A `llm.rope` whose rotated keys are stored by a `llm.store_kv`, and read by nothing else, and the
    store become one `llm.rope_store_kv`, which a step computes token by token in one call: a token's
    rotated keys are stored while a worker has them at hand, and what stands between a layer's
    projection and its attention is one op.

    Left alone: keys that anything else reads, rotated tensors that are read before the store, stores
    of which the layer is an operand, and stores of other forms or in another block.

    Counts `stores-fused`.

    Before:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 30, 3, 64, 16, 8192>
    func.func @f(%kv: !kv, %q: tensor<?x9x64xf32>, %k: tensor<?x3x64xf32>, %v: tensor<?x3x64xf32>,
                 %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> (!kv, tensor<?x9x64xf32>) {
      %rotated, %key = llm.rope %q, %k positions(%positions) theta(1.0e+5) rotary_dim(64) interleaved
          : tensor<?x9x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>
      %next = llm.store_kv %kv, %key, %v, %slots {layer = 7 : i32}
          : (!kv, tensor<?x3x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>) -> !kv
      return %next, %rotated : !kv, tensor<?x9x64xf32>
    }
    ```
    After:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 30, 3, 64, 16, 8192>
    func.func @f(%kv: !kv, %q: tensor<?x9x64xf32>, %k: tensor<?x3x64xf32>, %v: tensor<?x3x64xf32>,
                 %slots: tensor<?xi32>, %positions: tensor<?xi32>) -> (!kv, tensor<?x9x64xf32>) {
      %next, %rotated = llm.rope_store_kv %kv, %k, %v, %slots queries(%q) positions(%positions)
          theta(1.0e+5) rotary_dim(64) interleaved {layer = 7 : i32}
          : (!kv, tensor<?x3x64xf32>, tensor<?x3x64xf32>, tensor<?xi32>, tensor<?x9x64xf32>,
             tensor<?xi32>) -> (!kv, tensor<?x9x64xf32>)
      return %next, %rotated : !kv, tensor<?x9x64xf32>
    }
    ```
  }];
}

def SeparateKVAllocationPass : Pass<"llm-separate-kv-allocation"> {
  let summary = "Part every append into finding blocks and writing keys and values";
  let description = [{
    `llm.append_kv` becomes `llm.reserve_kv`, which finds blocks and is the host's, and `llm.store_kv`,
    which writes and is the device's. What needs the blocks alone no longer waits for keys and values,
    and one reservation can serve the stores of many layers. The conversions to CPU and GPU code
    begin with it.

    Left alone: everything else. On buffers, the slots are given back behind the store.

    Counts `appends-separated`.

    Before:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                 %seqs: tensor<2xi32>) -> (!kv, tensor<2x1xi32>) {
      %next, %blocks = llm.append_kv %kv, %k, %v, %seqs
          {block_size = 16 : i32, max_seq_len = 4096 : i32, layer = 3 : i32}
          : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>)
          -> (!kv, tensor<2x1xi32>)
      return %next, %blocks : !kv, tensor<2x1xi32>
    }
    ```
    After:
    ```mlir
    !kv = !llm.paged_kv_cache<f16, 12, 16, 64, 16, 4096>
    func.func @f(%kv: !kv, %k: tensor<2x1x16x64xf16>, %v: tensor<2x1x16x64xf16>,
                 %seqs: tensor<2xi32>) -> (!kv, tensor<2x1xi32>) {
      %reserved, %slots, %blocks = llm.reserve_kv %kv, %seqs {tokens = 1 : i32}
          : (!kv, tensor<2xi32>) -> (!kv, tensor<2xi32>, tensor<2x1xi32>)
      %next = llm.store_kv %reserved, %k, %v, %slots {layer = 3 : i32}
          : (!kv, tensor<2x1x16x64xf16>, tensor<2x1x16x64xf16>, tensor<2xi32>) -> !kv
      return %next, %blocks : !kv, tensor<2x1xi32>
    }
    ```
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::memref::MemRefDialect", "::mlir::tensor::TensorDialect"
  ];
}

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_KVCACHEPASSES_TD
