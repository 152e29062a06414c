// QuantizedPagedKVCache: dividing layers among caches, and doing everything to all of them. The
// caches have equally many blocks of equally many tokens and see the same calls, so their pools
// hand out the same blocks and refuse the same requests; what is checked in one holds for all.

#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <algorithm>
#include <string>

namespace llmir {

QuantizedPagedKVCache::QuantizedPagedKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim,
                                             int64_t blockSize, int64_t maxSeqLen,
                                             const QuantizationConfig &config,
                                             ElementType elementType,
                                             std::optional<int64_t> numBlocks)
    : config_(config), elementType_(elementType) {
  CacheParameters shape;
  shape.keyType = shape.valueType = elementType;
  shape.numLayers = numLayers;
  shape.numKVHeads = numHeads;
  shape.keyHeadDim = shape.valueHeadDim = headDim;
  shape.blockSize = blockSize;
  shape.maxSeqLen = maxSeqLen;
  status_ = initialize(shape, numBlocks).withContext("quantized paged KV cache");
  if (!status_.isOk()) {
    caches_.clear();
    places_.clear();
  }
}

Status QuantizedPagedKVCache::initialize(const CacheParameters &shape,
                                         std::optional<int64_t> numBlocks) {
  if (!isFloatArrayType(elementType_))
    return invalidArgument("expected the element type to be f32, f16 or bf16, but got " +
                           elementTypeName(elementType_));
  StatusOr<llmir_cache_layout> plain = makeCacheLayout(shape);
  if (!plain)
    return plain.status();
  if (!config_.exceptions.empty() && (config_.exceptions.begin()->first < 0 ||
                                      config_.exceptions.rbegin()->first >= shape.numLayers))
    return invalidArgument("expected exceptions for layers of 0 to " +
                           std::to_string(shape.numLayers - 1) + ", but got " +
                           std::to_string(config_.exceptions.begin()->first) + " to " +
                           std::to_string(config_.exceptions.rbegin()->first));
  LLMIR_RETURN_IF_ERROR(makeCaches(shape, numBlocks));
  plainBytes_ =
      static_cast<size_t>(plain->block_stride) * static_cast<size_t>(caches_[0].pool().numBlocks());
  return setGivenScales();
}

/// One cache for each way of storing a layer.
Status QuantizedPagedKVCache::makeCaches(const CacheParameters &shape,
                                         std::optional<int64_t> numBlocks) {
  std::vector<LayerQuantization> kinds;
  std::vector<int64_t> sizes;
  for (int64_t layer = 0; layer < shape.numLayers; ++layer) {
    LayerQuantization kind = config_.ofLayer(layer);
    auto index = static_cast<size_t>(std::find(kinds.begin(), kinds.end(), kind) - kinds.begin());
    if (index == kinds.size()) {
      kinds.push_back(kind);
      sizes.push_back(0);
    }
    places_.push_back({index, sizes[index]++});
  }
  std::vector<CacheParameters> parameters;
  int64_t blockBytes = 0;
  for (size_t i = 0; i < kinds.size(); ++i) {
    parameters.push_back(quantizedParameters(shape, kinds[i], config_, elementType_));
    parameters.back().numLayers = sizes[i];
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters.back());
    if (!layout)
      return layout.status();
    blockBytes += layout->block_stride;
  }
  int64_t count = numBlocks.value_or(defaultNumBlocks(*makeCacheLayout(shape), blockBytes));
  for (const CacheParameters &each : parameters) {
    caches_.emplace_back(each, elementType_, count);
    LLMIR_RETURN_IF_ERROR(caches_.back().status());
  }
  return Status::ok();
}

/// Hands the configuration's constants to the caches that need them.
Status QuantizedPagedKVCache::setGivenScales() {
  if (config_.keyScales.empty() && config_.valueScales.empty())
    return Status::ok();
  auto heads = static_cast<size_t>(caches_[0].layout().num_kv_heads);
  for (const auto *scales : {&config_.keyScales, &config_.valueScales})
    if (!scales->empty() && scales->size() != places_.size() * heads)
      return invalidArgument("expected constant scales of " + std::to_string(places_.size()) +
                             " layers x " + std::to_string(heads) + " heads, but got " +
                             std::to_string(scales->size()));
  for (size_t index = 0; index < caches_.size(); ++index) {
    std::vector<float> keys, values;
    for (size_t layer = 0; layer < places_.size(); ++layer) {
      if (places_[layer].cache != index)
        continue;
      auto collect = [&](std::vector<float> &to, const std::vector<float> &from, bool needed) {
        if (needed && !from.empty())
          to.insert(to.end(), from.begin() + static_cast<std::ptrdiff_t>(layer * heads),
                    from.begin() + static_cast<std::ptrdiff_t>((layer + 1) * heads));
      };
      collect(keys, config_.keyScales, !caches_[index].constantKeyScales().empty());
      collect(values, config_.valueScales, !caches_[index].constantValueScales().empty());
    }
    if (caches_[index].hasConstantScales())
      LLMIR_RETURN_IF_ERROR(caches_[index].setConstantScales(keys, values));
  }
  return Status::ok();
}

StatusOr<QuantizedPagedKVCache::LayerPlace> QuantizedPagedKVCache::place(int64_t layer) const {
  LLMIR_RETURN_IF_ERROR(checkLayers({layer, 1}));
  return places_[static_cast<size_t>(layer)];
}

size_t QuantizedPagedKVCache::sizeInBytes() const {
  size_t bytes = 0;
  for (const PagedKVCache &cache : caches_)
    bytes += cache.sizeInBytes() + cache.constantKeyScales().size_bytes() +
             cache.constantValueScales().size_bytes();
  return bytes;
}

float QuantizedPagedKVCache::getCompressionRatio() const {
  return status_.isOk() ? static_cast<float>(double(plainBytes_) / double(sizeInBytes())) : 0;
}

Status QuantizedPagedKVCache::checkLayers(LayerRange layers) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto numLayers = static_cast<int64_t>(places_.size());
  if (layers.first >= 0 && layers.count >= 1 && layers.first < numLayers &&
      layers.count <= numLayers - layers.first)
    return Status::ok();
  return invalidArgument("expected layers of 0 to " + std::to_string(numLayers - 1) + ", but got " +
                         std::to_string(layers.count) + " from " + std::to_string(layers.first) +
                         " on");
}

QuantizedPagedKVCache::Stretch QuantizedPagedKVCache::nextStretch(LayerRange layers) const {
  LayerPlace first = places_[static_cast<size_t>(layers.first)];
  int64_t count = 1;
  while (count < layers.count &&
         places_[static_cast<size_t>(layers.first + count)].cache == first.cache)
    ++count;
  // Layers of one cache that are neighbours here are neighbours there.
  return {first.cache, {first.layer, count}};
}

int64_t QuantizedPagedKVCache::layerBytes(int64_t tokens) const {
  const llmir_cache_layout &layout = caches_[0].layout();
  return tokens * layout.num_kv_heads * layout.key_head_dim * elementSize(elementType_);
}

template <typename Function> Status QuantizedPagedKVCache::forAll(Function function) {
  LLMIR_RETURN_IF_ERROR(status_);
  for (PagedKVCache &cache : caches_)
    if (Status status = function(cache); !status.isOk()) {
      if (&cache == caches_.data())
        return status;
      // Somebody changed one cache alone: what they hold no longer belongs together.
      status_ = status.withContext("the caches of a quantized cache disagree");
      return status_;
    }
  return Status::ok();
}

Status QuantizedPagedKVCache::reserveAll(int64_t batchSize, int64_t seqLen, const int32_t *seqIds) {
  scratchRequests_.clear();
  for (int64_t b = 0; b < batchSize; ++b)
    scratchRequests_.push_back({SequenceId{seqIds[b]}, seqLen});
  return forAll(
      [this](PagedKVCache &cache) { return cache.reserve(scratchRequests_, scratchTables_); });
}

Status QuantizedPagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                                       int64_t seqLen, const int32_t *seqIds,
                                       int32_t *blockIndices) {
  return appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices,
                  {0, std::max<int64_t>(1, static_cast<int64_t>(places_.size()))});
}

Status QuantizedPagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                                       int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                                       LayerRange layers) {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  if (batchSize < 0 || seqLen < 0 || (batchSize * seqLen > 0 && !(keyPtr && valuePtr && seqIds)))
    return invalidArgument("expected arrays for " + std::to_string(batchSize) + " sequences of " +
                           std::to_string(seqLen) +
                           " tokens, but got a null pointer or a "
                           "negative number");
  auto *keys = static_cast<const uint8_t *>(keyPtr);
  auto *values = static_cast<const uint8_t *>(valuePtr);
  std::vector<Calibration> found;
  calibrate(CacheSide::Keys, keys, batchSize * seqLen, layers, found);
  calibrate(CacheSide::Values, values, batchSize * seqLen, layers, found);
  LLMIR_RETURN_IF_ERROR(finishCalibration(found));
  if (layers.first == 0)
    LLMIR_RETURN_IF_ERROR(reserveAll(batchSize, seqLen, seqIds));
  for (const Calibration &each : found)
    LLMIR_RETURN_IF_ERROR(
        caches_[each.cache].setConstantScales(each.side, each.layers, each.scales));
  while (layers.count > 0) {
    Stretch stretch = nextStretch(layers);
    LLMIR_RETURN_IF_ERROR(caches_[stretch.cache].writeKV(keys, values, batchSize, seqLen, seqIds,
                                                         blockIndices, stretch.layers));
    keys += stretch.layers.count * layerBytes(batchSize * seqLen);
    values += stretch.layers.count * layerBytes(batchSize * seqLen);
    layers = {layers.first + stretch.layers.count, layers.count - stretch.layers.count};
  }
  return Status::ok();
}

Status QuantizedPagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                                       int64_t batchSize, void *outputKeys,
                                       void *outputValues) const {
  return lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues,
                  {0, std::max<int64_t>(1, static_cast<int64_t>(places_.size()))});
}

Status QuantizedPagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                                       int64_t batchSize, void *outputKeys, void *outputValues,
                                       LayerRange layers) const {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  int64_t tokens = 0;
  for (int64_t b = 0; seqLens && b < batchSize; ++b)
    tokens = std::max<int64_t>(tokens, seqLens[b]);
  auto *keys = static_cast<uint8_t *>(outputKeys);
  auto *values = static_cast<uint8_t *>(outputValues);
  while (layers.count > 0) {
    Stretch stretch = nextStretch(layers);
    LLMIR_RETURN_IF_ERROR(caches_[stretch.cache].lookupKV(blockIndices, seqLens, batchSize, keys,
                                                          values, stretch.layers));
    keys += stretch.layers.count * layerBytes(batchSize * tokens);
    values += stretch.layers.count * layerBytes(batchSize * tokens);
    layers = {layers.first + stretch.layers.count, layers.count - stretch.layers.count};
  }
  return Status::ok();
}

Status QuantizedPagedKVCache::truncate(SequenceId sequence, int64_t length) {
  return forAll([&](PagedKVCache &cache) { return cache.truncate(sequence, length); });
}

Status QuantizedPagedKVCache::freeSequence(SequenceId sequence) {
  return forAll([&](PagedKVCache &cache) { return cache.freeSequence(sequence); });
}

Status QuantizedPagedKVCache::fork(SequenceId parent, SequenceId child) {
  return forAll([&](PagedKVCache &cache) { return cache.fork(parent, child); });
}

bool QuantizedPagedKVCache::contains(SequenceId sequence) const {
  return status_.isOk() && caches_[0].contains(sequence);
}

StatusOr<int64_t> QuantizedPagedKVCache::length(SequenceId sequence) const {
  LLMIR_RETURN_IF_ERROR(status_);
  return caches_[0].length(sequence);
}

} // namespace llmir
