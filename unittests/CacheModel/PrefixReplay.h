// PrefixReplay: a PrefixModel and a PrefixTree over a PagedKVCache that are told the same things
// and compared in everything that a caller can see: what is known and where, in which blocks, what
// each sequence and each known block reads, and which block goes next.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_PREFIXREPLAY_H
#define LLMIR_UNITTESTS_CACHEMODEL_PREFIXREPLAY_H

#include "CacheReplay.h"
#include "PrefixModel.h"

#include "llmir/Cache/PrefixTree.h"

#include <memory>

namespace llmir::model {

class PrefixReplay {
public:
  PrefixReplay(const PrefixSizes &sizes, const CacheStorage &storage);
  PrefixReplay(const PrefixReplay &) = delete;
  PrefixReplay &operator=(const PrefixReplay &) = delete;

  /// Does `operation` on both. Empty, or how the outcomes differ.
  std::string step(const PrefixOperation &operation);
  /// Empty, or the first thing in which they differ.
  std::string compare();
  /// Makes both forget everything: the state at first, but for the order of the free blocks and the
  /// times of use. Empty, or how they differ.
  std::string clear();

  const PrefixModel &model() const { return model_; }

private:
  bool perform(const PrefixOperation &operation);
  void noteChoices();
  void forEachNode(const std::function<void(const Path &, const PrefixBlockView &)> &visitor) const;
  bool start(SequenceId id, const Path &prompt);
  bool append(SequenceId id, const Path &path, size_t first);
  bool keep(SequenceId id, const Path &path);
  std::string compareSequences() const;
  std::string compareNodes() const;
  std::string compareNodeContents();
  std::string compareCounts() const;

  PrefixModel model_;
  ElementType elementType_;
  PagedKVCache cache_;
  std::unique_ptr<PrefixTree> tree_;
  std::optional<BlockId> lastMatched_; ///< The last block that a match gave.
  std::set<Path> stored_;              ///< What the tree has on the disk.
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_PREFIXREPLAY_H
