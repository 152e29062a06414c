// PrefixTreeCheckpoint: a PrefixTree as checkpoints see it. Blocks in memory are saved with their
// priority and their order of use; pins, durations and what is on the disk tier are not.

#ifndef LLMIR_CACHE_PREFIXTREECHECKPOINT_H
#define LLMIR_CACHE_PREFIXTREECHECKPOINT_H

#include "llmir/Cache/CheckpointTree.h"
#include "llmir/Cache/PrefixTree.h"

namespace llmir {

/// Borrows the tree, which must outlive it.
class PrefixTreeCheckpoint : public CheckpointTree {
public:
  explicit PrefixTreeCheckpoint(PrefixTree &tree) : tree_(tree) {}

  std::vector<TreeRecord> exportRecords() const override;
  /// DataLoss when a record's key is not the key of its tokens; nothing is added then. A tree that
  /// may hold fewer blocks takes fewer.
  Status importRecords(std::span<const TreeRecord> records) override;

private:
  PrefixTree &tree_;
};

} // namespace llmir

#endif // LLMIR_CACHE_PREFIXTREECHECKPOINT_H
