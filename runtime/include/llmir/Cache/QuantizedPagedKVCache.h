// QuantizedPagedKVCache: a paged KV cache that takes and gives f32, f16 or bf16 and stores fewer
// bits, keys and values apart and, if asked, layer by layer. Layers that are stored alike are one
// PagedKVCache; those caches do everything together, so a token has the same slot in all of them.

#ifndef LLMIR_CACHE_QUANTIZEDPAGEDKVCACHE_H
#define LLMIR_CACHE_QUANTIZEDPAGEDKVCACHE_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/QuantizationConfig.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// One thread uses it at a time.
class QuantizedPagedKVCache {
public:
  /// A cache for `numLayers` × `numHeads` KV heads × `headDim` channels in blocks of `blockSize`
  /// tokens, at most `maxSeqLen` tokens a sequence, with `numBlocks` blocks (defaultNumBlocks()).
  /// Arrays are in `elementType`. A constructor that fails leaves status(), which every later call
  /// returns.
  QuantizedPagedKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
                        int64_t maxSeqLen, const QuantizationConfig &config,
                        ElementType elementType, std::optional<int64_t> numBlocks = std::nullopt);

  const Status &status() const { return status_; }
  const QuantizationConfig &config() const { return config_; }
  ElementType elementType() const { return elementType_; }

  /// The caches of layers that are stored alike, for llmir_step_args: in the order of their first
  /// layers. What is done to the sequences of one must be done to all.
  std::span<PagedKVCache> caches() { return caches_; }
  std::span<const PagedKVCache> caches() const { return caches_; }
  /// Where a layer is: its cache and its number there.
  struct LayerPlace {
    size_t cache = 0;
    int64_t layer = 0;
  };
  /// InvalidArgument for a layer that there is not.
  StatusOr<LayerPlace> place(int64_t layer) const;

  /// How many times fewer bytes the blocks take, scales and padding included, than blocks of
  /// elementType would; 0 for a cache that failed.
  float getCompressionRatio() const;
  /// Bytes of all blocks and of the constant scales.
  size_t sizeInBytes() const;

  /// As PagedKVCache. Where constant scales are not given, the first tokens of a layer fix them.
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices);
  /// As PagedKVCache: a range that starts with layer 0 appends first.
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices, LayerRange layers);
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues) const;
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues, LayerRange layers) const;

  /// As PagedKVCache, in all caches or in none.
  Status truncate(SequenceId sequence, int64_t length);
  Status freeSequence(SequenceId sequence);
  Status fork(SequenceId parent, SequenceId child);
  bool contains(SequenceId sequence) const;
  StatusOr<int64_t> length(SequenceId sequence) const;

private:
  Status initialize(const CacheParameters &shape, std::optional<int64_t> numBlocks);
  Status makeCaches(const CacheParameters &shape, std::optional<int64_t> numBlocks);
  Status setGivenScales();
  Status checkLayers(LayerRange layers) const;
  /// Neighbouring layers of a range that are neighbours in one cache.
  struct Stretch {
    size_t cache;
    LayerRange layers;
  };
  Stretch nextStretch(LayerRange layers) const;
  /// Constant scales that are missing, as the tokens at hand give them.
  struct Calibration {
    size_t cache;
    CacheSide side;
    LayerRange layers;
    std::vector<float> scales;
  };
  void calibrate(CacheSide side, const uint8_t *array, int64_t tokens, LayerRange layers,
                 std::vector<Calibration> &found) const;
  Status finishCalibration(std::vector<Calibration> &found) const;
  Status reserveAll(int64_t batchSize, int64_t seqLen, const int32_t *seqIds);
  /// Does the same to every cache; they agree on the outcome.
  template <typename Function> Status forAll(Function function);
  /// Bytes of one layer of so many tokens in an array.
  int64_t layerBytes(int64_t tokens) const;

  Status status_;
  QuantizationConfig config_;
  ElementType elementType_;
  std::vector<PagedKVCache> caches_;
  std::vector<LayerPlace> places_; // [layers]
  size_t plainBytes_ = 0;          // of as many blocks of elementType
  std::vector<AppendRequest> scratchRequests_;
  CacheStepTables scratchTables_;
};

} // namespace llmir

#endif // LLMIR_CACHE_QUANTIZEDPAGEDKVCACHE_H
