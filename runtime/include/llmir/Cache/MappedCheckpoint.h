// MappedCheckpoint: a checkpoint opened over mapped files, whose sequences are brought into a cache
// one at a time. Made by CheckpointManager::mapCheckpoint.

#ifndef LLMIR_CACHE_MAPPEDCHECKPOINT_H
#define LLMIR_CACHE_MAPPEDCHECKPOINT_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/CheckpointFormat.h"
#include "llmir/Cache/CheckpointTree.h"
#include "llmir/Cache/PagedKVCache.h"

#include <memory>
#include <optional>
#include <vector>

namespace llmir {

class CheckpointPages;

/// An open checkpoint and the cache that it fits. Pages are read, and checked, when the first
/// sequence that has them is attached. A block that several sequences share is copied once: this
/// object is one of its owners until the last of them is attached, so nobody writes into it. Files
/// that are removed meanwhile stay readable. Used by the thread of the cache.
class MappedCheckpoint {
public:
  MappedCheckpoint(CheckpointManifest manifest, CheckpointPages pages, PagedKVCache &cache);
  MappedCheckpoint(MappedCheckpoint &&other) noexcept;
  MappedCheckpoint &operator=(MappedCheckpoint &&other) noexcept;
  /// Gives its blocks back; sequences that were attached keep theirs.
  ~MappedCheckpoint();

  const CheckpointManifest &manifest() const { return manifest_; }

  /// Adds a sequence of the checkpoint to the cache, under its own id or as `as`. NotFound for an
  /// id that the checkpoint does not have; FailedPrecondition when the cache has it; DataLoss for a
  /// damaged page, with its name; ResourceExhausted when blocks run out. The cache is as before
  /// then.
  Status attach(SequenceId sequence, std::optional<SequenceId> as = std::nullopt);
  /// Adds the checkpoint's records to `tree`. Errors as for attach(), and the tree's own.
  Status attachTree(CheckpointTree &tree);

  /// Reads and checks all pages that attach() would still read, into blocks of the cache.
  Status readAll();
  /// Reads and checks all pages in place.
  Status verify() const;

  /// The blocks that this object owns at the moment (PagedKVCache::checkInvariants).
  std::vector<BlockId> heldBlocks() const;

private:
  struct Block {
    std::optional<BlockId> held; ///< Where it is in the cache, if this object owns it there.
    uint32_t users = 0;          ///< Sequences and tree nodes that are not attached yet.
  };

  /// Makes this object an owner of `blocks`, reading those it does not hold yet; these are `added`.
  Status hold(std::span<const uint32_t> blocks, std::vector<uint32_t> &added);
  /// Lets go of what nobody needs any more after a success, of what was added after a failure.
  void settle(const Status &status, std::span<const uint32_t> blocks,
              std::span<const uint32_t> added);
  void letGo(uint32_t block);
  void release();
  Status takeScales();
  std::vector<BlockId> heldIds(std::span<const uint32_t> blocks) const;

  CheckpointManifest manifest_;
  std::unique_ptr<CheckpointPages> pages_;
  PagedKVCache *cache_;
  std::vector<Block> blocks_;
  std::vector<char> isAttached_; ///< Of each sequence.
  bool isTreeAttached_ = false;
};

} // namespace llmir

#endif // LLMIR_CACHE_MAPPEDCHECKPOINT_H
