// BlockSizeAdvice: which block sizes suit a workload, and why. A pure function of the lengths that
// sequences had; who records them and acts on it is AdaptiveBlockManager.

#ifndef LLMIR_CACHE_BLOCKSIZEADVICE_H
#define LLMIR_CACHE_BLOCKSIZEADVICE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace llmir {

/// Tokens in the three kinds of block. Each is a power of two times the next smaller.
struct BlockSizeConfig {
  int64_t primaryBlockSize = 16;
  int64_t smallBlockSize = 4;
  int64_t largeBlockSize = 64;

  friend bool operator==(const BlockSizeConfig &, const BlockSizeConfig &) = default;
};

/// What decides which blocks a sequence gets.
enum class AdaptationPolicy {
  STATIC,    ///< Primary blocks only.
  REACTIVE,  ///< As few blocks as cover the expected length: large, then primary, then small ones.
  PREDICTIVE ///< The same for the length to be expected from how earlier expectations came out, as
             ///< far as the expected length needs it: a sequence that will grow starts with large
             ///< blocks.
};

struct AdaptationConfig {
  AdaptationPolicy policy = AdaptationPolicy::REACTIVE;
  /// Use the recommended primary and large sizes for sequences that come later, after every
  /// tuningInterval sequences. The small size is the pool's and stays.
  bool enableAutoTuning = false;
  int64_t tuningInterval = 64;
  int64_t history = 1024; ///< Sequences that are remembered.
  /// Sizes that may be recommended: powers of two from minBlockSize to maxBlockSize.
  int64_t minBlockSize = 4;
  int64_t maxBlockSize = 256;
  /// What visiting one more block costs (a table entry, an address, the end of a vector loop), in
  /// tokens of memory that it is worth.
  double tokensPerBlock = 0.5;
  double minGain = 0.02; ///< Sizes stay unless others cost so much less, as a fraction.
};

/// Ok if the sizes are positive and each is a power of two times the next smaller.
Status checkBlockSizes(const BlockSizeConfig &sizes);

/// What one set of sizes costs, on average over sequences.
struct BlockSizeCost {
  double slackTokens = 0;   ///< Tokens of memory that a sequence holds and does not use.
  double blocks = 0;        ///< Blocks that it has.
  double slackFraction = 0; ///< Of all tokens of memory held, how many are not used.

  /// The weighted sum that advice minimises.
  double total(const AdaptationConfig &config) const {
    return slackTokens + config.tokensPerBlock * blocks;
  }
};

/// Blocks of each kind that cover a length; the last one may be partly used.
struct BlockCover {
  int64_t large = 0;
  int64_t primary = 0;
  int64_t small = 0;
};
BlockCover coverLength(int64_t length, const BlockSizeConfig &sizes);

/// The cost of covering sequences of these lengths.
BlockSizeCost costOf(const BlockSizeConfig &sizes, std::span<const int64_t> lengths);

struct BlockSizeAdvice {
  BlockSizeConfig sizes;
  BlockSizeCost cost;
  std::string reason; ///< What was seen, what was compared, and what it comes to; some sentences.
};

/// The sizes of least cost for sequences of these lengths, compared with `current`, which is the
/// advice when there are no lengths or little to gain. Ties go to larger sizes. Where the small
/// size is given, only the others are chosen.
BlockSizeAdvice adviseBlockSizes(std::span<const int64_t> lengths, const BlockSizeConfig &current,
                                 const AdaptationConfig &config,
                                 std::optional<int64_t> smallBlockSize = std::nullopt);

} // namespace llmir

#endif // LLMIR_CACHE_BLOCKSIZEADVICE_H
