// What llm-plan-kv-cache chooses among: the ways to store a layer's keys and values, with the bytes
// that they hold for a load and the error that they are expected to cause. The model is stated here
// and in KVCacheModel.cpp; it knows types and sizes, not a model's weights.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_KVCACHEMODEL_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_KVCACHEMODEL_H

#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"

#include <string>

namespace mlir::llm {

/// The sequences that have to fit.
struct KVCacheLoad {
  int64_t sequences;
  int64_t context; ///< tokens of each
};

/// How one side of a layer is stored.
struct KVSideStorage {
  Type type;
  ScaleGranularity scales = ScaleGranularity::None;
  int64_t group = 0; ///< channels that share a scale; 0 unless `scales` is Group

  /// `f16`, `i8 (a scale a token)`, `i4 (a scale each 32 channels)`.
  std::string describe() const;
};

/// The mean of the squared error of an element, as a share of the mean square of elements, when
/// rows of `headDim` channels are stored so. Channels are taken to be normal and independent; of
/// keys the largest one of a group is taken to be kKeyOutliers times as large, since a few channels
/// stand out in all tokens.
double getSquaredError(const KVSideStorage &storage, int64_t headDim, bool isKey);
inline constexpr double kKeyOutliers = 2.0;

/// What an error in keys counts against the same relative error in values: a relative error e of
/// keys moves scores, whose standard deviation is taken to be this many nats, by e times that, and
/// with them the weights of values.
inline constexpr double kScoreDeviation = 2.0;

/// What errors in a layer count: those of the first twice those of the last, since all layers
/// behind it see them.
inline double getLayerSensitivity(int64_t layer, int64_t numLayers) {
  return 1.0 + static_cast<double>(numLayers - 1 - layer) / static_cast<double>(numLayers);
}

/// What visiting one more block costs in tokens of memory that it is worth: as the runtime's
/// advice on block sizes has it (BlockSizeAdvice.h).
inline constexpr double kTokensPerBlock = 0.5;

/// One way to store one layer.
struct KVLayerOption {
  PagedKVCacheType type; ///< A cache of this layer alone.
  KVSideStorage keys, values;
  int64_t bytes = 0; ///< For the load: whole blocks.
  double error = 0;  ///< Of keys and values together, for a sensitivity of 1.

  /// Bytes for each token of a full block.
  double bytesPerToken() const;
  /// The part of a block's bytes that holds nothing.
  double paddingShare() const;
};

/// What storage as `type` costs, in tokens of one sequence: the mean part of its last block that is
/// not used, and its blocks.
struct BlockSizeCost {
  double slackTokens;
  double blockTokens;
};
BlockSizeCost getBlockSizeCost(int64_t blockSize, const KVCacheLoad &load);

/// The ways to store a layer of a cache of type `type` that `target` can lower, none wider than
/// elements or than the type's storage; for each pair of storages the block size of `blockSizes`
/// for which bytes, slack and blocks cost least. From the smallest error to the fewest bytes, and
/// only those that a mixture of others does not beat in both.
SmallVector<KVLayerOption> getLayerOptions(PagedKVCacheType type, const KVCacheLoad &load,
                                           ArrayRef<int64_t> blockSizes, KVCacheTarget target);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_KVCACHEMODEL_H
