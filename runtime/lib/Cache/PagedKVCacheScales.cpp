// PagedKVCache: the constant scales of storage whose granularity is tensor or head. Scales that are
// computed for each token lie in the blocks and are CacheCodec's.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llmir {

size_t PagedKVCache::numConstants(uint32_t granularity, int64_t layers) const {
  bool constant = granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
  return constant ? static_cast<size_t>(layers) * static_cast<size_t>(layout_.num_kv_heads) : 0;
}

Status PagedKVCache::checkScales(CacheSide side, LayerRange layers,
                                 std::span<const float> scales) const {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  bool isKeys = side == CacheSide::Keys;
  std::string name = isKeys ? "key" : "value";
  uint32_t granularity = isKeys ? layout_.key_scale_granularity : layout_.value_scale_granularity;
  const std::vector<float> &known = isKeys ? keyScales_ : valueScales_;
  size_t count = numConstants(granularity, layers.count);
  if (scales.size() != count)
    return invalidArgument("expected " + std::to_string(count) + " constant " + name +
                           " scales, but got " + std::to_string(scales.size()));
  auto first = static_cast<size_t>(layers.first * layout_.num_kv_heads);
  for (size_t i = 0; i < count; ++i) {
    if (!(scales[i] >= 0) || std::isinf(scales[i]))
      return invalidArgument("expected constant " + name +
                             " scales to be finite and at least 0, but number " +
                             std::to_string(i) + " is " + std::to_string(scales[i]));
    if (granularity == LLMIR_SCALE_TENSOR && scales[i] != scales[0])
      return invalidArgument("expected all constant " + name +
                             " scales to be equal with granularity tensor, but got " +
                             std::to_string(scales[0]) + " and " + std::to_string(scales[i]));
    float before = known[granularity == LLMIR_SCALE_TENSOR ? 0 : first + i];
    if (!std::isnan(before) && before != scales[i])
      return failedPrecondition("cannot change constant " + name + " scale " +
                                std::to_string(first + i) + " from " + std::to_string(before) +
                                " to " + std::to_string(scales[i]) +
                                ": what is stored was made with it");
  }
  return Status::ok();
}

Status PagedKVCache::setConstantScales(CacheSide side, LayerRange layers,
                                       std::span<const float> scales) {
  LLMIR_RETURN_IF_ERROR(checkScales(side, layers, scales));
  std::vector<float> &known = side == CacheSide::Keys ? keyScales_ : valueScales_;
  uint32_t granularity =
      side == CacheSide::Keys ? layout_.key_scale_granularity : layout_.value_scale_granularity;
  if (granularity == LLMIR_SCALE_TENSOR)
    std::fill(known.begin(), known.end(), scales[0]);
  else
    std::copy(scales.begin(), scales.end(),
              known.begin() + static_cast<std::ptrdiff_t>(layers.first * layout_.num_kv_heads));
  return Status::ok();
}

Status PagedKVCache::setConstantScales(std::span<const float> keys, std::span<const float> values) {
  LLMIR_RETURN_IF_ERROR(status_);
  LayerRange all{0, layout_.num_layers};
  LLMIR_RETURN_IF_ERROR(checkScales(CacheSide::Keys, all, keys));
  LLMIR_RETURN_IF_ERROR(checkScales(CacheSide::Values, all, values));
  LLMIR_RETURN_IF_ERROR(setConstantScales(CacheSide::Keys, all, keys));
  return setConstantScales(CacheSide::Values, all, values);
}

Status PagedKVCache::checkConstantScales() const {
  LLMIR_RETURN_IF_ERROR(status_);
  return checkConstantScales({0, layout_.num_layers});
}

Status PagedKVCache::checkConstantScales(LayerRange layers) const {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  auto first = static_cast<size_t>(layers.first * layout_.num_kv_heads);
  auto count = static_cast<size_t>(layers.count * layout_.num_kv_heads);
  for (const std::vector<float> *scales : {&keyScales_, &valueScales_})
    for (size_t i = first; i < first + count && !scales->empty(); ++i)
      if (std::isnan((*scales)[i]))
        return failedPrecondition(
            std::string("expected constant ") + (scales == &keyScales_ ? "key" : "value") +
            " scales with granularity tensor or head, but that of layer " +
            std::to_string(i / static_cast<size_t>(layout_.num_kv_heads)) + ", head " +
            std::to_string(i % static_cast<size_t>(layout_.num_kv_heads)) + " was not given");
  return Status::ok();
}

llmir_cache_view PagedKVCache::view(const CacheStepTables &tables) const {
  llmir_cache_view view = tables.view(base());
  view.key_scales = keyScales_.empty() ? nullptr : keyScales_.data();
  view.value_scales = valueScales_.empty() ? nullptr : valueScales_.data();
  return view;
}

} // namespace llmir
