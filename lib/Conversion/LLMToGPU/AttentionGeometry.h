// AttentionGeometry: how the work of one block of an attention kernel is cut, from the shapes and
// the target's features. The order of every sum follows from the shapes alone, not from the number
// of tokens, so a row's bytes do not depend on what is computed beside it.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONGEOMETRY_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONGEOMETRY_H

#include "GPUKernels.h"

namespace mlir::llm {

/// Rows are pairs of a token and a query head of one group. Keys are read in partitions of one key
/// a thread; values by threads that own a channel each and, when there are more threads than
/// channels, every so manieth token.
struct AttentionGeometry {
  static constexpr int64_t kThreads = 128;
  /// Rows that leave registers: a block with many tokens carries two states.
  static constexpr int64_t kMaxGroupRows = 16;
  static constexpr int64_t kMaxTileRows = 8;

  int64_t tileTokens;        ///< Query tokens a block has.
  int64_t groupRows;         ///< Query heads a block has.
  int64_t groupParts;        ///< Blocks that share a group: 1 but for very large groups.
  int64_t phases;            ///< Threads that share a channel of the value.
  int64_t channelsPerThread; ///< More than 1 only for values of more channels than threads.

  int64_t rows() const { return tileTokens * groupRows; }

  /// One query token a block, or as many as fit.
  enum class Tile : uint8_t { OneToken, ManyTokens };
  static AttentionGeometry get(const GPUTarget &target, const AttentionDeviceKernel &kernel,
                               Tile tile);

  /// Bytes of workgroup memory that blocks of `rows` rows take.
  static int64_t workgroupBytes(const GPUTarget &target, const AttentionDeviceKernel &kernel,
                                int64_t rows);
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_ATTENTIONGEOMETRY_H
