// PagedKVCache: keys and values of many sequences in fixed-size blocks of one pool. It keeps each
// sequence's block table, reserves slots for a step, and copies K/V in and out for callers without
// compiled code. It schedules nothing; one thread uses it at a time. Addresses come from
// llmir_cache_layout only (docs/CacheLayout.md).

#ifndef LLMIR_CACHE_PAGEDKVCACHE_H
#define LLMIR_CACHE_PAGEDKVCACHE_H

#include "llmir/ABI.h"
#include "llmir/Base/NodeReuse.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/BlockPool.h"
#include "llmir/Cache/CacheCodec.h"
#include "llmir/Cache/CacheLayout.h"
#include "llmir/Device/HostMemory.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace llmir {

/// Names a sequence; chosen by the caller.
enum class SequenceId : int32_t {};
/// `sequence 7`: for messages.
std::string describe(SequenceId sequence);

/// `tokens` more tokens for one sequence.
struct AppendRequest {
  SequenceId sequence{};
  int64_t tokens = 0;
};

/// What a step needs of one cache: slots of its tokens and block tables of its sequences, in the
/// order of the requests. Reused from step to step, so that it stops allocating.
struct CacheStepTables {
  std::vector<int32_t> slots; ///< [tokens of all requests]
  std::vector<int32_t> table; ///< [requests][tableStride]; entries past a sequence's end are 0
  int64_t tableStride = 0;

  /// The view for llmir_step_args of a cache at `base` without constant scales; valid as long as
  /// this object is not changed. PagedKVCache::view knows of constants.
  llmir_cache_view view(uint8_t *base) const {
    return {base, slots.data(), table.data(), tableStride, nullptr, nullptr};
  }
};

/// Some of a cache's layers, one after another.
struct LayerRange {
  int64_t first = 0;
  int64_t count = 0;
};

/// How many blocks of `blockBytes` bytes a cache has unless it is told: enough for four sequences
/// of max_seq_len tokens, but not more than a quarter of the machine's memory, nor fewer than for
/// one such sequence.
int64_t defaultNumBlocks(const llmir_cache_layout &layout, int64_t blockBytes);

/// Somebody who holds blocks that nobody needs at the moment, and can give them back.
class BlockReclaimer {
public:
  virtual ~BlockReclaimer() = default;
  /// Called by a cache that is about to run out. Releases up to `blocks` blocks so that they become
  /// free and returns how many did. Must not add, change or remove sequences of the cache.
  virtual int64_t reclaim(int64_t blocks) = 0;
  /// Called when that was not enough. A sequence is about to write into `block`, which it shares
  /// with the reclaimer alone; if the reclaimer gives it up, no copy is needed. Returns whether it
  /// did.
  virtual bool giveUp(BlockId) { return false; }
};

/// A paged KV cache. What it stores (CacheParameters: types, scales, arrangement) is apart from the
/// type of the arrays that appendKV takes and lookupKV fills; it converts between the two
/// (CacheCodec).
class PagedKVCache {
public:
  /// A cache for `numLayers` × `numHeads` KV heads × `headDim` channels in blocks of `blockSize`
  /// tokens, at most `maxSeqLen` tokens a sequence, with `numBlocks` blocks (defaultNumBlocks();
  /// pages take memory only when they are used). A constructor that fails leaves status(), which
  /// every later call returns.
  PagedKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
               int64_t maxSeqLen, ElementType elementType,
               std::optional<int64_t> numBlocks = std::nullopt);
  /// The same for any storage. Arrays are in the type of the storage where that is f32, f16 or
  /// bf16, else in f32.
  explicit PagedKVCache(const CacheParameters &parameters,
                        std::optional<int64_t> numBlocks = std::nullopt);
  /// The same with all arrays in `elementType`: f32, f16 or bf16.
  PagedKVCache(const CacheParameters &parameters, ElementType elementType,
               std::optional<int64_t> numBlocks = std::nullopt);

  PagedKVCache(PagedKVCache &&) = default;
  PagedKVCache &operator=(PagedKVCache &&) = default;
  PagedKVCache(const PagedKVCache &) = delete;
  PagedKVCache &operator=(const PagedKVCache &) = delete;

  /// Ok, or why the constructor (or a call through the C ABI) failed.
  const Status &status() const { return status_; }
  const llmir_cache_layout &layout() const { return layout_; }
  const BlockPool &pool() const { return pool_; }
  /// The types of arrays of keys and of values.
  ElementType keyElementType() const { return keyElementType_; }
  ElementType valueElementType() const { return valueElementType_; }
  /// Hands free blocks out in an order that `seed` decides (BlockPool::shuffleFree).
  void shuffleFreeBlocks(uint64_t seed) { pool_.shuffleFree(seed); }
  /// The address of block 0.
  uint8_t *base() const { return memory_.data(); }
  /// Whether keys or values have constant scales (granularity tensor or head).
  bool hasConstantScales() const {
    return numConstants(layout_.key_scale_granularity, 1) +
               numConstants(layout_.value_scale_granularity, 1) >
           0;
  }
  /// Gives the constant scales, [layers, KV heads] of keys and of values, which must be finite and
  /// not negative (all equal for granularity tensor); empty for a side without. They can be given
  /// once: what is stored was made with them. FailedPrecondition for a second, different time.
  Status setConstantScales(std::span<const float> keys, std::span<const float> values);
  /// The same for some layers of one side, [layers of the range, KV heads].
  Status setConstantScales(CacheSide side, LayerRange layers, std::span<const float> scales);
  /// The constants of keys and of values, [layers, KV heads], NaN where not given yet; empty for a
  /// side without.
  std::span<const float> constantKeyScales() const { return keyScales_; }
  std::span<const float> constantValueScales() const { return valueScales_; }
  /// Ok unless constants are needed and not given (of some layers).
  Status checkConstantScales() const;
  Status checkConstantScales(LayerRange layers) const;
  /// The view for llmir_step_args; valid as long as neither changes.
  llmir_cache_view view(const CacheStepTables &tables) const;

  /// Bytes of all blocks.
  size_t sizeInBytes() const { return memory_.size(); }
  /// Number of sequences.
  size_t numSequences() const { return sequences_.size(); }

  /// Makes room for every request, or for none: creates sequences not seen before, takes blocks,
  /// copies a shared last block before it is written. Fills `tables`. ResourceExhausted when blocks
  /// run out or a sequence would exceed max_seq_len; InvalidArgument for negative counts or a
  /// sequence named twice; nothing is changed then. Undo it with truncate(). A copy of a shared
  /// block is counted for each sequence that needs one. When blocks are missing, the reclaimer is
  /// asked for them first.
  Status reserve(std::span<const AppendRequest> requests, CacheStepTables &tables);
  /// The same for `tokens` more tokens of each of `batchSize` sequences: their slots and blocks,
  /// [batch, tokens]. What llmir_rt_cache_append does.
  Status reserveSlots(const int32_t *seqIds, int64_t batchSize, int64_t tokens, int32_t *slots,
                      int32_t *blocks);

  /// Blocks that reserve() would take from the pool for `tokens` more tokens of `sequence`.
  int64_t blocksNeeded(SequenceId sequence, int64_t tokens) const;

  /// Forgets the tokens from `length` on and gives back blocks that become empty. NotFound for an
  /// unknown sequence; InvalidArgument when it is shorter than `length`.
  Status truncate(SequenceId sequence, int64_t length);
  /// Gives back all blocks of a sequence and its id. NotFound when there is none.
  Status freeSequence(SequenceId sequence);
  /// A new sequence `child` with the tokens of `parent`; they share blocks until one writes.
  /// NotFound without a parent; FailedPrecondition when the child exists.
  Status fork(SequenceId parent, SequenceId child);

  /// A new sequence of `length` tokens that lie in `blocks`, which somebody owns already; one owner
  /// more for each. `length` may end inside the last block, which is copied before the sequence
  /// writes into it. FailedPrecondition when the sequence exists or a block is stale or free;
  /// InvalidArgument when the length does not fit the number of blocks; ResourceExhausted past
  /// max_seq_len. Nothing is changed then.
  Status attach(SequenceId sequence, std::span<const BlockId> blocks, int64_t length);

  /// Who to ask for blocks before the cache says ResourceExhausted; null for nobody. Not owned, and
  /// must outlive its use.
  void setReclaimer(BlockReclaimer *reclaimer) { reclaimer_ = reclaimer; }
  /// One owner more or less of a block, for those who own blocks apart from sequences (a prefix
  /// tree). Errors are BlockPool's.
  Status retainBlock(BlockId block);
  Status releaseBlock(BlockId block);
  /// A block with one owner, the caller, and undefined content. The reclaimer is not asked.
  StatusOr<BlockId> allocateBlock();
  /// The bytes of a block in use, [block_stride]; FailedPrecondition for a stale or free one.
  StatusOr<std::span<uint8_t>> blockBytes(BlockId block) const;

  /// Ok when every block has as many owners as there are tables that name it and entries of `held`,
  /// those owned apart from sequences; otherwise Internal with the first block that is wrong. For
  /// tests: linear in the number of blocks.
  Status checkInvariants(std::span<const BlockId> held = {}) const;

  /// All sequences, in the order of their ids.
  std::vector<SequenceId> sequenceIds() const;
  bool contains(SequenceId sequence) const { return sequences_.count(sequence) != 0; }
  /// Tokens of a sequence; NotFound when there is none.
  StatusOr<int64_t> length(SequenceId sequence) const;
  /// The blocks of a sequence in order of position; valid until the sequence changes.
  StatusOr<std::span<const BlockId>> blocks(SequenceId sequence) const;
  /// Block × block_size + offset of a token; InvalidArgument past the end.
  StatusOr<int32_t> slot(SequenceId sequence, int64_t position) const;
  /// Writes the block indices of a sequence into `row`, then zeros. InvalidArgument when the row is
  /// too short.
  Status copyBlockTable(SequenceId sequence, std::span<int32_t> row) const;

  /// Appends `seqLen` tokens to each of `batchSize` sequences `seqIds`. `keyPtr` and `valuePtr` are
  /// [layers, batch, tokens, KV heads, head dim] in the element types of keys and of values;
  /// `blockIndices` (may be null) receives the block of each token, [batch, tokens]. All or
  /// nothing, as reserve(). FailedPrecondition while constant scales are missing.
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices);
  /// Some layers: one that starts with layer 0 appends tokens and writes [layers of the range,
  /// batch, tokens, KV heads, head dim]; others write what belongs to the tokens appended last, as
  /// writeKV(). So a model calls it once for each layer, or for each of its stages, in order.
  /// InvalidArgument for layers that the cache does not have.
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices, LayerRange layers);
  /// The same for one layer.
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices, int64_t layer);

  /// Writes some layers of the last `seqLen` tokens of each sequence, which are there already.
  /// FailedPrecondition when a fork shares their blocks.
  Status writeKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                 const int32_t *seqIds, int32_t *blockIndices, LayerRange layers);

  /// Copies out the first seqLens[b] tokens of `batchSize` sequences, whose tokens lie in the
  /// blocks `blockIndices` ([batch, tokens], as appendKV gives them; tokens is the largest of
  /// seqLens and token t is position t). The outputs are [layers, batch, tokens, KV heads, head
  /// dim]; tokens past a sequence's length are zero. InvalidArgument for a block not in use.
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues) const;
  /// The same for some layers: the outputs are [layers of the range, batch, tokens, KV heads, head
  /// dim].
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues, LayerRange layers) const;
  /// The same for one layer.
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues, int64_t layer) const;

  /// This cache as the C ABI knows it, and back. Ownership does not change.
  llmir_rt_cache *handle() { return reinterpret_cast<llmir_rt_cache *>(this); }
  static PagedKVCache *fromHandle(llmir_rt_cache *handle) {
    return reinterpret_cast<PagedKVCache *>(handle);
  }
  /// Makes `status` (an error) the answer of every later call; what the C ABI does on failure.
  void fail(Status status);

private:
  struct Sequence {
    std::vector<BlockId> blocks;
    int64_t length = 0;
  };
  struct SequenceIdHash {
    size_t operator()(SequenceId id) const { return static_cast<uint32_t>(id); }
  };

  Status checkScales(CacheSide side, LayerRange layers, std::span<const float> scales) const;
  /// Constants that a side of that granularity has in so many layers.
  size_t numConstants(uint32_t granularity, int64_t layers) const;
  Status initialize(const CacheParameters &parameters, std::optional<int64_t> numBlocks);
  /// The sequence of that id: a new one without tokens if there was none. Its memory comes from one
  /// that ended, if possible.
  Sequence &addSequence(SequenceId id);
  Status checkRequests(std::span<const AppendRequest> requests);
  int64_t blocksNeeded(std::span<const AppendRequest> requests) const;
  int64_t reclaimFor(std::span<const AppendRequest> requests, int64_t needed);
  /// reserve() into scratchTables_.
  Status reserveBatch(const int32_t *seqIds, int64_t batchSize, int64_t tokens);
  Status extend(Sequence &sequence, int64_t tokens);
  Status unshareLastBlock(Sequence &sequence);
  void releaseFrom(Sequence &sequence, size_t firstBlock);
  bool mustCopyLastBlock(const Sequence &sequence) const;
  Status checkLayers(LayerRange layers) const;
  /// Slots of the last `seqLen` tokens of a sequence, if nobody shares their blocks.
  Status findLastSlots(SequenceId sequence, int64_t seqLen, std::vector<int32_t> &slots) const;
  /// Stores tokens at the slots of scratchTables_.
  void writeTokens(const uint8_t *keys, const uint8_t *values, LayerRange layers);
  void copyBlocks(int32_t *blockIndices) const;
  Status checkLookup(const int32_t *blockIndices, std::span<const int32_t> seqLens,
                     int64_t tokens) const;
  void readSequence(std::span<const int32_t> blocks, int64_t layer, uint8_t *keys,
                    uint8_t *values) const;
  StoredTokens storedTokens(int64_t slot, int64_t layer, int64_t head, int64_t count) const;

  Status status_;
  llmir_cache_layout layout_{};
  ElementType keyElementType_ = ElementType::F32, valueElementType_ = ElementType::F32;
  CacheCodec keyCodec_, valueCodec_;
  HostMemory memory_;
  BlockPool pool_;
  BlockReclaimer *reclaimer_ = nullptr;
  std::vector<float> keyScales_, valueScales_; ///< Constants, [layers][KV heads].
  using SequenceMap = std::unordered_map<SequenceId, Sequence, SequenceIdHash>;
  SequenceMap sequences_;
  // Kept so that nothing is allocated again and again.
  NodeReuse<SequenceMap> endedSequences_;
  std::vector<SequenceId> scratchIds_;
  std::vector<AppendRequest> scratchRequests_;
  CacheStepTables scratchTables_;
};

} // namespace llmir

#endif // LLMIR_CACHE_PAGEDKVCACHE_H
