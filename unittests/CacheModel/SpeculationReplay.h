// SpeculationReplay: a SpeculationModel and a SpeculativeKVCache that are told the same things and
// compared in everything that a caller can see: outcomes, lengths, blocks, the order of free
// blocks, and what each sequence and each branch reads.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONREPLAY_H
#define LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONREPLAY_H

#include "CacheReplay.h"
#include "SpeculationModel.h"

#include "llmir/Cache/SpeculativeKVCache.h"

#include <string>
#include <vector>

namespace llmir::model {

class SpeculationReplay {
public:
  /// Both with the bounds of `start`, which nothing has happened to.
  SpeculationReplay(const SpeculationModel &start, const CacheStorage &storage);
  SpeculationReplay(const SpeculationReplay &) = delete;
  SpeculationReplay &operator=(const SpeculationReplay &) = delete;

  /// Does `operation` on both. Empty, or how the outcomes differ.
  std::string step(const SpeculationOperation &operation);
  /// Empty, or the first thing in which they differ.
  std::string compare() const;
  /// Frees everything in both: the state at first, but for the order of the free blocks. Branches
  /// are counted from 0 again. Empty, or how they differ.
  std::string clear();

  const SpeculationModel &model() const { return model_; }

private:
  int32_t realBranch(int branch) const;
  EncodedTags encode(size_t tokens) const;
  Status perform(const SpeculationOperation &operation);
  std::string compareSequences() const;

  ElementType elementType_;
  SpeculationModel model_;
  SpeculativeKVCache real_;
  std::vector<int32_t> realBranches_;
};

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_SPECULATIONREPLAY_H
