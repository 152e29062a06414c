// Making a runtime cache for a cache type, with constant scales where the type has such.

#include "llmir/Validation/CacheState.h"

using namespace mlir;
using namespace mlir::llm;

::llmir::CacheParameters llm::getCacheParameters(PagedKVCacheType type) {
  llmir_cache_layout layout = type.getLayout();
  ::llmir::CacheParameters parameters;
  parameters.keyType = static_cast<::llmir::ElementType>(layout.key_type);
  parameters.valueType = static_cast<::llmir::ElementType>(layout.value_type);
  parameters.numLayers = layout.num_layers;
  parameters.numKVHeads = layout.num_kv_heads;
  parameters.keyHeadDim = layout.key_head_dim;
  parameters.valueHeadDim = layout.value_head_dim;
  parameters.blockSize = layout.block_size;
  parameters.maxSeqLen = layout.max_seq_len;
  parameters.arrangement = static_cast<::llmir::CacheArrangement>(layout.arrangement);
  parameters.keyScales = static_cast<::llmir::ScaleGranularity>(layout.key_scale_granularity);
  parameters.valueScales = static_cast<::llmir::ScaleGranularity>(layout.value_scale_granularity);
  parameters.scaleType = static_cast<::llmir::ElementType>(layout.scale_type);
  parameters.keyScaleGroup = layout.key_scale_group;
  parameters.valueScaleGroup = layout.value_scale_group;
  parameters.window = layout.window;
  parameters.numSinks = layout.num_sinks;
  return parameters;
}

/// Constants of one side: elements are around one, so four of them are the largest code.
static std::vector<float> makeConstants(const llmir_cache_layout &layout, uint32_t granularity,
                                        uint32_t type) {
  std::vector<float> scales;
  if (granularity != LLMIR_SCALE_TENSOR && granularity != LLMIR_SCALE_HEAD)
    return scales;
  float largest = type == LLMIR_I8 ? 127 : type == LLMIR_I4 ? 7 : 64;
  for (int32_t i = 0; i < layout.num_layers * layout.num_kv_heads; ++i) {
    auto step = static_cast<float>(granularity == LLMIR_SCALE_HEAD ? i % 5 : 0);
    scales.push_back((4.0f + 0.25f * step) / largest);
  }
  return scales;
}

CacheState::CacheState(PagedKVCacheType type, int64_t numBlocks)
    : cacheType(type),
      runtime(getCacheParameters(type), ::llmir::ElementType::F32, std::optional(numBlocks)) {
  if (!runtime.status().isOk() || !runtime.hasConstantScales())
    return;
  ::llmir::Status status = runtime.setConstantScales(
      makeConstants(layout(), layout().key_scale_granularity, layout().key_type),
      makeConstants(layout(), layout().value_scale_granularity, layout().value_type));
  if (!status.isOk())
    runtime.fail(std::move(status));
}

void CacheState::store(int64_t layer, int64_t slot, std::span<const double> keys,
                       std::span<const double> values) {
  ::llmir::reference::storeToken(layout(), runtime.base(), layer, slot, keys, values, constants());
}
