// QuantizedPagedKVCache: constant scales from the first tokens of each layer.

#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llmir {

namespace {

/// The largest magnitude of each head of an array [tokens, KV heads, head dim].
std::vector<float> headMagnitudes(const uint8_t *array, ElementType type, int64_t tokens,
                                  int64_t numHeads, int64_t dim) {
  std::vector<float> largest(static_cast<size_t>(numHeads), 0.0f);
  for (int64_t t = 0; t < tokens; ++t)
    for (float &known : largest) {
      known = std::max(known, maxMagnitude(type, array, dim));
      array += dim * elementSize(type);
    }
  return largest;
}

/// The parameters of one side of a cache.
struct SideOfCache {
  SideOfCache(const PagedKVCache &cache, CacheSide side) {
    const llmir_cache_layout &layout = cache.layout();
    bool isKeys = side == CacheSide::Keys;
    storage = static_cast<ElementType>(isKeys ? layout.key_type : layout.value_type);
    isTensor = (isKeys ? layout.key_scale_granularity : layout.value_scale_granularity) ==
               LLMIR_SCALE_TENSOR;
    headDim = isKeys ? layout.key_head_dim : layout.value_head_dim;
    known = isKeys ? cache.constantKeyScales() : cache.constantValueScales();
  }

  ElementType storage;
  bool isTensor;
  int64_t headDim;
  std::span<const float> known;
};

} // namespace

/// Finds the magnitudes of the layers of a range that lack scales, from `tokens` tokens of them:
/// `array` is [layers of the range, tokens, KV heads, head dim].
void QuantizedPagedKVCache::calibrate(CacheSide side, const uint8_t *array, int64_t tokens,
                                      LayerRange layers, std::vector<Calibration> &found) const {
  if (tokens == 0)
    return;
  for (int64_t layer = layers.first; layer < layers.first + layers.count;
       ++layer, array += layerBytes(tokens)) {
    LayerPlace place = places_[static_cast<size_t>(layer)];
    int64_t heads = caches_[place.cache].layout().num_kv_heads;
    SideOfCache of(caches_[place.cache], side);
    if (!of.known.empty() && std::isnan(of.known[static_cast<size_t>(place.layer * heads)]))
      found.push_back({place.cache,
                       side,
                       {place.layer, 1},
                       headMagnitudes(array, elementType_, tokens, heads, of.headDim)});
  }
}

/// Turns magnitudes into scales. A scale of the whole tensor is that of all layers, from those
/// which come first.
Status QuantizedPagedKVCache::finishCalibration(std::vector<Calibration> &found) const {
  for (Calibration &each : found)
    if (SideOfCache(caches_[each.cache], each.side).isTensor) {
      float largest = 0;
      for (const Calibration &other : found)
        if (other.cache == each.cache && other.side == each.side)
          largest = std::max(largest, *std::max_element(other.scales.begin(), other.scales.end()));
      std::fill(each.scales.begin(), each.scales.end(), largest);
    }
  for (Calibration &each : found) {
    SideOfCache of(caches_[each.cache], each.side);
    for (float &scale : each.scales) {
      // What is all zero so far says nothing of its range; a scale of 0 would store nothing ever.
      float magnitude = scale > 0 ? scale * config_.calibrationMargin : 1.0f;
      scale = scaleForMagnitude(magnitude, of.storage, ElementType::F32);
      if (!std::isfinite(scale))
        return invalidArgument("cannot calibrate from numbers as large as " +
                               std::to_string(magnitude));
    }
  }
  return Status::ok();
}

} // namespace llmir
