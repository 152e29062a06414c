// BlockPool: counts and the free list. A block's generation rises when it is handed out, not when
// it is released, so that a released block can be revived until somebody else gets it.

#include "llmir/Cache/BlockPool.h"

#include <sys/mman.h>

#include <cassert>
#include <limits>
#include <new>
#include <random>
#include <string>
#include <utility>

namespace llmir {

namespace {

std::string describe(BlockId block) {
  return "block " + std::to_string(block.index) + " (generation " +
         std::to_string(block.generation) + ")";
}

/// Makes room for `count` elements of value zero, in huge pages where they fill some: blocks are
/// visited in any order, and each visit to a small page may need a translation of its own.
template <typename T> void makeTable(std::vector<T> &table, size_t count) {
  constexpr uintptr_t hugePage = uintptr_t{2} << 20;
  table.reserve(count);
  uintptr_t begin = (reinterpret_cast<uintptr_t>(table.data()) + hugePage - 1) & ~(hugePage - 1);
  uintptr_t end = reinterpret_cast<uintptr_t>(table.data() + count) & ~(hugePage - 1);
  if (begin < end)
    madvise(reinterpret_cast<void *>(begin), end - begin, MADV_HUGEPAGE);
  table.resize(count);
}

} // namespace

BlockPool::BlockPool(int32_t numBlocks) {
  if (numBlocks < 0) {
    status_ = invalidArgument("block pool: expected 0 or more blocks, but got " +
                              std::to_string(numBlocks));
    return;
  }
  try {
    makeTable(blocks_, static_cast<size_t>(numBlocks));
  } catch (const std::bad_alloc &) {
    status_ = resourceExhausted("block pool: no memory to count the owners of " +
                                std::to_string(numBlocks) + " blocks");
    return;
  }
  for (int32_t index = 0; index < numBlocks; ++index)
    linkLast(index);
}

void BlockPool::shuffleFree(uint64_t seed) {
  std::vector<int32_t> order;
  while (firstFree_ != none) {
    order.push_back(firstFree_);
    unlink(firstFree_);
  }
  std::mt19937_64 random(seed);
  // Not std::shuffle, whose order differs between libraries.
  for (size_t i = order.size(); i > 1; --i)
    std::swap(order[i - 1], order[random() % i]);
  for (int32_t index : order)
    linkLast(index);
}

StatusOr<BlockId> BlockPool::allocate() {
  LLMIR_RETURN_IF_ERROR(checkFree(1));
  int32_t index = firstFree_;
  unlink(index);
  Block &block = blocks_[static_cast<size_t>(index)];
  if (block.later != none)
    __builtin_prefetch(&blocks_[static_cast<size_t>(block.later)], 1);
  block.useCount = 1;
  block.allocation = ++numAllocations_;
  ++block.generation;
  return BlockId{index, block.generation};
}

Status BlockPool::checkFree(int64_t count) const {
  if (!status_)
    return status_;
  if (count <= numFree_)
    return Status::ok();
  return resourceExhausted("block pool exhausted: need " + std::to_string(count) +
                           (count == 1 ? " block, " : " blocks, ") + std::to_string(numFree_) +
                           " free of " + std::to_string(numBlocks()));
}

Status BlockPool::retain(BlockId id) {
  LLMIR_RETURN_IF_ERROR(checkCurrent(id));
  Block &block = blocks_[static_cast<size_t>(id.index)];
  if (block.useCount == 0)
    return failedPrecondition("cannot retain " + describe(id) + ": it is free");
  ++block.useCount;
  return Status::ok();
}

Status BlockPool::release(BlockId id) {
  LLMIR_RETURN_IF_ERROR(checkCurrent(id));
  Block &block = blocks_[static_cast<size_t>(id.index)];
  if (block.useCount == 0)
    return failedPrecondition("cannot release " + describe(id) + ": it is free already");
  if (--block.useCount == 0)
    makeFree(id.index);
  return Status::ok();
}

void BlockPool::makeFree(int32_t index) {
  Block &block = blocks_[static_cast<size_t>(index)];
  if (block.generation != std::numeric_limits<uint32_t>::max()) {
    linkLast(index);
    return;
  }
  // The next generation would be the first one again, whose old ids somebody may still have.
  block.generation = 0;
  ++numRetired_;
}

void BlockPool::skipGenerations(uint32_t generation) {
  assert(numFree_ == numBlocks() && "blocks that are in use keep their generation");
  for (Block &block : blocks_)
    block.generation = generation;
}

Status BlockPool::revive(BlockId id) {
  LLMIR_RETURN_IF_ERROR(checkCurrent(id));
  Block &block = blocks_[static_cast<size_t>(id.index)];
  if (block.useCount != 0)
    return failedPrecondition("cannot revive " + describe(id) + ": it has " +
                              std::to_string(block.useCount) + " owners");
  unlink(id.index);
  block.useCount = 1;
  return Status::ok();
}

StatusOr<int32_t> BlockPool::useCount(BlockId id) const {
  LLMIR_RETURN_IF_ERROR(checkCurrent(id));
  return blocks_[static_cast<size_t>(id.index)].useCount;
}

bool BlockPool::isLive(BlockId id) const {
  return isIndexInUse(id.index) &&
         blocks_[static_cast<size_t>(id.index)].generation == id.generation;
}

Status BlockPool::checkCurrent(BlockId id) const {
  if (!status_)
    return status_;
  if (id.index < 0 || id.index >= numBlocks())
    return invalidArgument("expected a block of 0 to " + std::to_string(numBlocks() - 1) +
                           ", but got " + std::to_string(id.index));
  uint32_t current = blocks_[static_cast<size_t>(id.index)].generation;
  // Generation 0 is a block that was never handed out, or never will be again.
  if (id.generation == current && current != 0)
    return Status::ok();
  return failedPrecondition("stale " + describe(id) + ": the block is now of generation " +
                            std::to_string(current));
}

std::vector<int32_t> BlockPool::freeBlocks() const {
  std::vector<int32_t> order;
  for (int32_t index = firstFree_; index != none; index = blocks_[static_cast<size_t>(index)].next)
    order.push_back(index);
  return order;
}

Status BlockPool::checkInvariants() const {
  LLMIR_RETURN_IF_ERROR(status_);
  int32_t previous = none, seen = 0;
  for (int32_t index = firstFree_; index != none;
       index = blocks_[static_cast<size_t>(index)].next) {
    const Block &block = blocks_[static_cast<size_t>(index)];
    if (block.useCount != 0 || block.previous != previous || seen == numFree_)
      return internalError("free list: block " + std::to_string(index) + " has " +
                           std::to_string(block.useCount) + " owners and follows block " +
                           std::to_string(block.previous) + ", but was reached from block " +
                           std::to_string(previous) + " as number " + std::to_string(seen) +
                           " of " + std::to_string(numFree_));
    previous = index;
    ++seen;
  }
  int64_t used = 0;
  for (const Block &block : blocks_)
    used += block.useCount > 0 ? 1 : 0;
  if (previous != lastFree_ || seen != numFree_ || used + seen + numRetired_ != numBlocks())
    return internalError("free list: " + std::to_string(seen) + " blocks in the list, " +
                         std::to_string(numFree_) + " counted as free, " + std::to_string(used) +
                         " in use, " + std::to_string(numRetired_) + " used up of " +
                         std::to_string(numBlocks()));
  return Status::ok();
}

void BlockPool::unlink(int32_t index) {
  Block &block = blocks_[static_cast<size_t>(index)];
  int32_t &fromPrevious =
      block.previous == none ? firstFree_ : blocks_[static_cast<size_t>(block.previous)].next;
  int32_t &fromNext =
      block.next == none ? lastFree_ : blocks_[static_cast<size_t>(block.next)].previous;
  fromPrevious = block.next;
  fromNext = block.previous;
  block.previous = block.next = none;
  --numFree_;
}

void BlockPool::linkLast(int32_t index) {
  Block &block = blocks_[static_cast<size_t>(index)];
  block.previous = lastFree_;
  block.next = none;
  if (lastFree_ == none)
    firstFree_ = index;
  else
    blocks_[static_cast<size_t>(lastFree_)].next = index;
  lastFree_ = index;
  ++numFree_;
  int32_t &earlier = lastLinked_[numLinked_++ % lookahead];
  if (earlier != none)
    blocks_[static_cast<size_t>(earlier)].later = index;
  earlier = index;
}

} // namespace llmir
