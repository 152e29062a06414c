// AdaptiveBlockManager: blocks of several sizes for sequences, chosen by the workload that it has
// seen. The pool is of small blocks, which is what compiled code addresses; a larger block is a run
// of them, side by side in memory. It moves no keys or values. Its pool is its own, not a
// PagedKVCache's: docs/CacheLayout.md says why, and what ties the two together.

#ifndef LLMIR_CACHE_ADAPTIVEBLOCKMANAGER_H
#define LLMIR_CACHE_ADAPTIVEBLOCKMANAGER_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/BlockSizeAdvice.h"
#include "llmir/Cache/CacheLayout.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// A block of a sequence: a run of pool blocks. Owned by the manager.
struct KVBlock {
  int32_t firstPoolBlock = 0;
  int32_t numPoolBlocks = 0;
  int64_t firstPosition = 0; ///< Of its tokens in the sequence.
  int64_t capacity = 0;      ///< Tokens.
  uint8_t *data = nullptr;   ///< The pool blocks' bytes, numPoolBlocks × layout().block_stride.
};

/// What the pool of an AdaptiveBlockManager is made of.
struct AdaptivePoolOptions {
  ElementType elementType = ElementType::F16;
  int64_t maxSeqLen = 32768;
  std::optional<int64_t> numTokens; ///< In all; defaultNumBlocks() if absent.
};

/// What became of the sequences so far.
struct AdaptationStatistics {
  int64_t sequences = 0;   ///< That ended.
  int64_t usedTokens = 0;  ///< Sum of their final lengths, as far as they had blocks.
  int64_t heldTokens = 0;  ///< Sum of what their blocks could hold.
  int64_t blocks = 0;      ///< Sum of their blocks.
  int64_t adaptations = 0; ///< How often the sizes changed.

  double slackFraction() const {
    return heldTokens > 0 ? double(heldTokens - usedTokens) / double(heldTokens) : 0;
  }
};

/// One thread uses it at a time.
class AdaptiveBlockManager {
public:
  /// A constructor that fails leaves status(), which every later call returns.
  AdaptiveBlockManager(int64_t numLayers, int64_t numHeads, int64_t headDim,
                       const BlockSizeConfig &blockConfig, const AdaptationConfig &adaptConfig,
                       const AdaptivePoolOptions &pool = {});
  AdaptiveBlockManager(AdaptiveBlockManager &&) noexcept;
  AdaptiveBlockManager &operator=(AdaptiveBlockManager &&) noexcept;
  ~AdaptiveBlockManager();

  const Status &status() const;
  /// The layout of pool blocks, whose block_size is the first configuration's small size.
  const llmir_cache_layout &layout() const;
  /// The address of pool block 0.
  uint8_t *base() const;

  /// Makes room for `expectedLength` tokens of a sequence and lists all its blocks in order; a
  /// sequence that has some already gets what is missing. ResourceExhausted, and nothing is
  /// changed, when the pool is too full or the length exceeds maxSeqLen. The blocks are the
  /// manager's and valid until the sequence ends.
  Status allocateBlocksForSequence(int32_t sequenceId, int64_t expectedLength,
                                   std::vector<KVBlock *> &blocks);
  /// A sequence has ended with `finalLength` tokens: remembers it and takes its blocks back.
  /// NotFound for an unknown sequence.
  Status recordSequenceComplete(int32_t sequenceId, int64_t finalLength);

  /// Pool blocks of a sequence in order of position, then zeros, as compiled code wants them.
  Status copyBlockTable(int32_t sequenceId, std::span<int32_t> row) const;

  /// The sizes in use for sequences to come.
  const BlockSizeConfig &currentConfig() const;
  /// The sizes of least cost for the sequences remembered.
  BlockSizeConfig getRecommendedConfig() const;
  /// The same with its cost, and why.
  BlockSizeAdvice advise() const;
  /// Why the sizes in use are what they are: the reason of the last change.
  const std::string &explanation() const;
  const AdaptationStatistics &statistics() const;
  int32_t numFreePoolBlocks() const;

private:
  struct State;
  std::unique_ptr<State> state_;
};

} // namespace llmir

#endif // LLMIR_CACHE_ADAPTIVEBLOCKMANAGER_H
