// QuantizationConfig: how a QuantizedPagedKVCache stores keys and values, the same for all layers
// or with exceptions. A plain record; whether the parts go together is checked by makeCacheLayout.

#ifndef LLMIR_CACHE_QUANTIZATIONCONFIG_H
#define LLMIR_CACHE_QUANTIZATIONCONFIG_H

#include "llmir/Cache/CacheLayout.h"

#include <cstdint>
#include <map>
#include <vector>

namespace llmir {

/// What an element is stored as. NONE: as it comes.
enum class QuantizationType { NONE, INT8, INT4, FP8_E4M3, FP8_E5M2 };

/// Which elements share a scale (docs/CacheLayout.md). PER_TENSOR and PER_HEAD scales are
/// constants; PER_TOKEN (of a head) and PER_GROUP (of a token's channels) are computed for each
/// token. UNSCALED is for 8-bit floats.
enum class QuantizationStrategy { UNSCALED, PER_TENSOR, PER_HEAD, PER_TOKEN, PER_GROUP };

/// How keys, or values, are stored.
struct SideQuantization {
  QuantizationType type = QuantizationType::NONE;
  QuantizationStrategy strategy = QuantizationStrategy::UNSCALED;
  int64_t groupSize = 0; ///< Channels a group; 0 unless PER_GROUP.

  friend bool operator==(const SideQuantization &, const SideQuantization &) = default;
};

/// How a layer is stored.
struct LayerQuantization {
  SideQuantization keys;
  SideQuantization values;

  friend bool operator==(const LayerQuantization &, const LayerQuantization &) = default;
};

struct QuantizationConfig {
  /// Nothing is quantised.
  QuantizationConfig() = default;
  /// Keys and values of all layers alike; groups of `groupSize` channels if PER_GROUP.
  QuantizationConfig(QuantizationType type, QuantizationStrategy strategy, int64_t groupSize = 32);

  LayerQuantization ofLayer(int64_t layer) const;

  SideQuantization keys; ///< Of all layers but the exceptions.
  SideQuantization values;
  std::map<int64_t, LayerQuantization> exceptions; ///< By layer.
  ElementType scaleType = ElementType::F16;        ///< Of computed scales: f32, f16 or bf16.
  CacheArrangement arrangement = CacheArrangement::ChannelMajorKeys;

  /// Calibrated constant scales [layers, KV heads]; entries of layers without constants are not
  /// read. Empty: fixed by the first tokens of each layer, so that calibrationMargin times their
  /// largest magnitude is the largest number that can be stored, and never changed after.
  std::vector<float> keyScales;
  std::vector<float> valueScales;
  float calibrationMargin = 1.0f;
};

/// What a layer's cache stores, given the type that it takes.
CacheParameters quantizedParameters(const CacheParameters &shape, const LayerQuantization &layer,
                                    const QuantizationConfig &config, ElementType elementType);

} // namespace llmir

#endif // LLMIR_CACHE_QUANTIZATIONCONFIG_H
