// CheckpointTree: a prefix tree as a checkpoint sees it: records of (key, parent, tokens, block).
// A tree implements it to be saved with the sequences whose blocks it shares. No tree lives here.

#ifndef LLMIR_CACHE_CHECKPOINTTREE_H
#define LLMIR_CACHE_CHECKPOINTTREE_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/BlockPool.h"

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// One block of a prefix tree.
struct TreeRecord {
  std::array<uint8_t, 32> key{};  ///< The chain key: of these tokens and all before them.
  std::optional<uint32_t> parent; ///< Index of an earlier record; none for a child of the root.
  std::vector<int32_t> tokens;    ///< At most block_size.
  BlockId block;
  std::vector<uint8_t> attributes; ///< Whatever else the tree keeps of it (priority, adapter, ...).
};

/// What a checkpoint asks of a tree.
class CheckpointTree {
public:
  virtual ~CheckpointTree() = default;
  /// All blocks that the tree holds in the pool, parents before children. The blocks stay the
  /// tree's.
  virtual std::vector<TreeRecord> exportRecords() const = 0;
  /// Adds records to the tree; it takes one owner more of each block that it keeps, and skips keys
  /// that it has. On failure the tree is as before. Records come from a file: the tree checks what
  /// it relies on, keys included.
  virtual Status importRecords(std::span<const TreeRecord> records) = 0;
};

} // namespace llmir

#endif // LLMIR_CACHE_CHECKPOINTTREE_H
