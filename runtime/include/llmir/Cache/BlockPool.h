// BlockPool: which blocks of a KV cache are in use, and by how many owners. It holds numbers, not
// memory, and knows nothing of sequences. Every operation is O(1); nothing is allocated after
// construction and nothing is locked (a pool belongs to one thread).

#ifndef LLMIR_CACHE_BLOCKPOOL_H
#define LLMIR_CACHE_BLOCKPOOL_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <vector>

namespace llmir {

/// One allocation of a block: its index, and which allocation of that index it is. An id of an
/// earlier allocation is stale and refused, so that nobody reads another request's data.
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

  int32_t numBlocks() const { return static_cast<int32_t>(blocks_.size()); }
  int32_t numFree() const { return numFree_; }

  /// A block with one owner. ResourceExhausted with the numbers when none is free.
  StatusOr<BlockId> allocate();
  /// Ok when `count` blocks are free; otherwise ResourceExhausted with the numbers.
  Status checkFree(int64_t count) const;

  /// One owner more. FailedPrecondition when the id is stale or the block free.
  Status retain(BlockId block);
  /// One owner less; without owners the block becomes the last to be handed out again.
  /// FailedPrecondition when the id is stale or the block is free already.
  Status release(BlockId block);
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
    return numAllocations_ - allocations_[static_cast<size_t>(index)];
  }

  /// The free blocks in the order in which they will be handed out. For pictures.
  std::vector<int32_t> freeBlocks() const;
  /// Ok when the free list holds each block without owners once and nothing else; otherwise
  /// Internal with what is wrong. For tests: linear in the number of blocks.
  Status checkInvariants() const;

private:
  static constexpr int32_t none = -1;
  struct Block {
    int32_t useCount = 0;
    uint32_t generation = 0;
    int32_t previous = none; ///< Neighbours in the free list.
    int32_t next = none;
  };

  Status checkCurrent(BlockId block) const;
  void unlink(int32_t index);
  void linkLast(int32_t index);

  Status status_;
  std::vector<Block> blocks_;
  /// Number of each block's last allocation, from 1 on. Apart, because it is only written.
  std::vector<uint64_t> allocations_;
  int32_t firstFree_ = none;
  int32_t lastFree_ = none;
  int32_t numFree_ = 0;
  uint64_t numAllocations_ = 0;
};

} // namespace llmir

#endif // LLMIR_CACHE_BLOCKPOOL_H
