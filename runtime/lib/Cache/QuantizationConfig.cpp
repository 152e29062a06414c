// QuantizationConfig: from the seed's names to the parameters of a cache.

#include "llmir/Cache/QuantizationConfig.h"

namespace llmir {

QuantizationConfig::QuantizationConfig(QuantizationType type, QuantizationStrategy strategy,
                                       int64_t groupSize)
    : keys{type, strategy, strategy == QuantizationStrategy::PER_GROUP ? groupSize : 0},
      values(keys) {}

LayerQuantization QuantizationConfig::ofLayer(int64_t layer) const {
  auto found = exceptions.find(layer);
  return found == exceptions.end() ? LayerQuantization{keys, values} : found->second;
}

static ElementType storageType(QuantizationType type, ElementType elementType) {
  switch (type) {
  case QuantizationType::NONE:
    return elementType;
  case QuantizationType::INT8:
    return ElementType::I8;
  case QuantizationType::INT4:
    return ElementType::I4;
  case QuantizationType::FP8_E4M3:
    return ElementType::F8E4M3FN;
  case QuantizationType::FP8_E5M2:
    return ElementType::F8E5M2;
  }
  return elementType;
}

static ScaleGranularity granularity(QuantizationStrategy strategy) {
  switch (strategy) {
  case QuantizationStrategy::UNSCALED:
    return ScaleGranularity::None;
  case QuantizationStrategy::PER_TENSOR:
    return ScaleGranularity::Tensor;
  case QuantizationStrategy::PER_HEAD:
    return ScaleGranularity::Head;
  case QuantizationStrategy::PER_TOKEN:
    return ScaleGranularity::Token;
  case QuantizationStrategy::PER_GROUP:
    return ScaleGranularity::Group;
  }
  return ScaleGranularity::None;
}

CacheParameters quantizedParameters(const CacheParameters &shape, const LayerQuantization &layer,
                                    const QuantizationConfig &config, ElementType elementType) {
  CacheParameters parameters = shape;
  parameters.keyType = storageType(layer.keys.type, elementType);
  parameters.valueType = storageType(layer.values.type, elementType);
  parameters.keyScales = granularity(layer.keys.strategy);
  parameters.valueScales = granularity(layer.values.strategy);
  parameters.keyScaleGroup = layer.keys.groupSize;
  parameters.valueScaleGroup = layer.values.groupSize;
  parameters.scaleType = config.scaleType;
  parameters.arrangement = config.arrangement;
  return parameters;
}

} // namespace llmir
