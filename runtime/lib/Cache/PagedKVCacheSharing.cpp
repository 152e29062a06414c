// PagedKVCache: blocks that have owners apart from sequences, sequences made of such blocks, and
// the check that every owner is counted.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <string>
#include <vector>

namespace llmir {

Status PagedKVCache::attach(SequenceId id, std::span<const BlockId> blocks, int64_t length) {
  LLMIR_RETURN_IF_ERROR(status_);
  if (contains(id))
    return failedPrecondition("cannot attach blocks to " + describe(id) + ": it exists");
  if (length < 0 || length > layout_.max_seq_len)
    return resourceExhausted("cannot attach " + std::to_string(length) + " tokens to " +
                             describe(id) + ": it may have 0 to " +
                             std::to_string(layout_.max_seq_len));
  auto count = static_cast<int64_t>(blocks.size());
  if (count != blocksForTokens(layout_, length))
    return invalidArgument("expected " + std::to_string(blocksForTokens(layout_, length)) +
                           " blocks for the " + std::to_string(length) + " tokens of " +
                           describe(id) + ", but got " + std::to_string(count));
  for (BlockId block : blocks)
    if (!pool_.isLive(block))
      return failedPrecondition("cannot attach block " + std::to_string(block.index) +
                                " (generation " + std::to_string(block.generation) + ") to " +
                                describe(id) + ": it is stale or free");
  for (BlockId block : blocks)
    LLMIR_RETURN_IF_ERROR(pool_.retain(block));
  Sequence &sequence = addSequence(id);
  sequence.blocks.assign(blocks.begin(), blocks.end());
  sequence.length = length;
  return Status::ok();
}

Status PagedKVCache::retainBlock(BlockId block) {
  LLMIR_RETURN_IF_ERROR(status_);
  return pool_.retain(block);
}

Status PagedKVCache::releaseBlock(BlockId block) {
  LLMIR_RETURN_IF_ERROR(status_);
  return pool_.release(block);
}

StatusOr<BlockId> PagedKVCache::allocateBlock() {
  LLMIR_RETURN_IF_ERROR(status_);
  return pool_.allocate();
}

StatusOr<std::span<uint8_t>> PagedKVCache::blockBytes(BlockId block) const {
  LLMIR_RETURN_IF_ERROR(status_);
  if (!pool_.isLive(block))
    return failedPrecondition("cannot read block " + std::to_string(block.index) + " (generation " +
                              std::to_string(block.generation) + "): it is stale or free");
  return std::span<uint8_t>(base() + block.index * layout_.block_stride,
                            static_cast<size_t>(layout_.block_stride));
}

std::vector<SequenceId> PagedKVCache::sequenceIds() const {
  std::vector<SequenceId> ids;
  ids.reserve(sequences_.size());
  for (const auto &entry : sequences_)
    ids.push_back(entry.first);
  std::sort(ids.begin(), ids.end());
  return ids;
}

Status PagedKVCache::checkInvariants(std::span<const BlockId> held) const {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(pool_.checkInvariants());
  std::vector<int32_t> owners(static_cast<size_t>(pool_.numBlocks()), 0);
  auto count = [&](BlockId block) {
    if (!pool_.isLive(block))
      return internalError("block " + std::to_string(block.index) + " (generation " +
                           std::to_string(block.generation) +
                           ") has an owner but is free or stale");
    ++owners[static_cast<size_t>(block.index)];
    return Status::ok();
  };
  for (const auto &[id, sequence] : sequences_) {
    if (static_cast<int64_t>(sequence.blocks.size()) != blocksForTokens(layout_, sequence.length))
      return internalError(describe(id) + " of " + std::to_string(sequence.length) +
                           " tokens has " + std::to_string(sequence.blocks.size()) + " blocks");
    for (BlockId block : sequence.blocks)
      LLMIR_RETURN_IF_ERROR(count(block));
  }
  for (BlockId block : held)
    LLMIR_RETURN_IF_ERROR(count(block));
  for (int32_t index = 0; index < pool_.numBlocks(); ++index)
    if (int32_t expected = owners[static_cast<size_t>(index)], actual = pool_.useCount(index);
        expected != actual)
      return internalError("block " + std::to_string(index) + " counts " + std::to_string(actual) +
                           " owners, but has " + std::to_string(expected));
  return Status::ok();
}

} // namespace llmir
