// BlockPool: which blocks of a KV cache are in use, and by how many owners. It holds numbers, not
// memory, and knows nothing of sequences. Every operation is O(1); nothing is allocated after
// construction and nothing is locked (a pool belongs to one thread).

#ifndef LLMIR_CACHE_BLOCKPOOL_H
#define LLMIR_CACHE_BLOCKPOOL_H

#include "llmir/Base/Status.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace llmir {

/// One allocation of a block: its index, and which allocation of that index it is. An id of an
/// earlier allocation is stale and refused, so that nobody reads another request's data. A block
/// whose generations are used up is not handed out again, so that no id ever names another's.
struct BlockId {
  int32_t index = -1;
  uint32_t generation = 0;

  friend bool operator==(const BlockId &, const BlockId &) = default;
};

/// A fixed number of reference-counted blocks. Free blocks wait in eviction order: the one released
/// longest ago is handed out first, so a block's old content survives as long as possible and can
/// be revived.
class BlockPool {
public:
  /// How many blocks before its own turn a block is fetched: as long as memory takes. The links of
  /// the free list alone say where the next one is only once the block before is there.
  static constexpr size_t lookahead = 16;

  /// No blocks.
  BlockPool() = default;
  /// `numBlocks` free blocks, handed out first in the order of their index. A negative number, or
  /// more than there is memory for, makes a pool without blocks that leaves status(), which every
  /// later call returns.
  explicit BlockPool(int32_t numBlocks);

  /// Ok, or why the constructor failed.
  const Status &status() const { return status_; }

  /// Puts the free blocks in an order that `seed` alone decides. For tests: nothing may depend on
  /// which blocks a sequence gets.
  void shuffleFree(uint64_t seed);
  /// As if each block, all of which must be free, had been handed out `generation` times before.
  /// For tests of the last generations.
  void skipGenerations(uint32_t generation);

  int32_t numBlocks() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t numFree() const { return numFree_; }
  /// Blocks that are neither in use nor will be again.
  int32_t numRetired() const { return numRetired_; }

  /// A block with one owner. ResourceExhausted with the numbers when none is free.
  StatusOr<BlockId> allocate();
  /// Ok when `count` blocks are free; otherwise ResourceExhausted with the numbers.
  Status checkFree(int64_t count) const;

  /// One owner more. FailedPrecondition when the id is stale or the block free.
  Status retain(BlockId block);
  /// One owner less; without owners the block becomes the last to be handed out again, or leaves
  /// the pool when this was its last generation.
  /// FailedPrecondition when the id is stale or the block is free already.
  Status release(BlockId block);
  /// Fetches what release() needs, for whoever knows which blocks it will give back: `lookahead`
  /// calls ahead is early enough.
  void fetchAhead(BlockId block) const {
    if (block.index >= 0 && block.index < numBlocks())
      __builtin_prefetch(&blocks_[static_cast<size_t>(block.index)], 1);
  }
  /// Gives a free block that nobody got since (same generation) one owner again, content intact.
  /// FailedPrecondition when the id is stale or the block in use.
  Status revive(BlockId block);

  /// Owners of a block; 0 for a free one. FailedPrecondition when the id is stale.
  StatusOr<int32_t> useCount(BlockId block) const;
  /// Owners of the block of that index, which must exist, whatever its generation.
  int32_t useCount(int32_t index) const { return blocks_[static_cast<size_t>(index)].useCount; }
  /// Whether the id names the current allocation of a block in use.
  bool isLive(BlockId block) const;
  /// Whether the block of that index is in use.
  bool isIndexInUse(int64_t index) const {
    return index >= 0 && index < numBlocks() && blocks_[static_cast<size_t>(index)].useCount > 0;
  }

  /// Blocks handed out so far: the pool's clock.
  uint64_t numAllocations() const { return numAllocations_; }
  /// How many blocks were handed out after the block of that index, which must be in use, was: 0
  /// for the newest. A revived block keeps its age.
  uint64_t age(int32_t index) const {
    return numAllocations_ - blocks_[static_cast<size_t>(index)].allocation;
  }

  /// The free blocks in the order in which they will be handed out. For pictures.
  std::vector<int32_t> freeBlocks() const;
  /// Ok when the free list holds each block without owners once and nothing else; otherwise
  /// Internal with what is wrong. For tests: linear in the number of blocks.
  Status checkInvariants() const;

private:
  static constexpr int32_t none = -1;

  /// All that is known of a block: half a line, so that each visit is one.
  struct alignas(32) Block {
    uint64_t allocation = 0; ///< Number of its last allocation, from 1 on.
    int32_t useCount = 0;
    uint32_t generation = 0;
    int32_t previous = none; ///< Neighbours in the free list.
    int32_t next = none;
    int32_t later = none; ///< A hint: what was linked `lookahead` blocks after it.
  };

  Status checkCurrent(BlockId block) const;
  void makeFree(int32_t index);
  void unlink(int32_t index);
  void linkLast(int32_t index);

  Status status_;
  std::vector<Block> blocks_;
  int32_t firstFree_ = none;
  int32_t lastFree_ = none;
  int32_t numFree_ = 0;
  int32_t numRetired_ = 0; ///< Blocks whose generations are used up.
  uint64_t numAllocations_ = 0;
  /// The last blocks that were linked, a ring; what is in it need not be free any more.
  std::array<int32_t, lookahead> lastLinked_ = filledWithNone();
  size_t numLinked_ = 0;

  static constexpr std::array<int32_t, lookahead> filledWithNone() {
    std::array<int32_t, lookahead> ring{};
    ring.fill(none);
    return ring;
  }
};

} // namespace llmir

#endif // LLMIR_CACHE_BLOCKPOOL_H
