// PagedKVCache: the constant scales of storage whose granularity is tensor or head. Scales that are
// computed for each token lie in the blocks and are CacheCodec's.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llmir {

namespace {

/// Checks the constants of one side; `count` are expected.
Status checkConstants(const char *side, std::span<const float> scales, size_t count,
                      uint32_t granularity) {
  if (scales.size() != count)
    return invalidArgument("expected " + std::to_string(count) + " constant " + side +
                           " scales, but got " + std::to_string(scales.size()));
  for (size_t i = 0; i < scales.size(); ++i) {
    if (!(scales[i] >= 0) || std::isinf(scales[i]))
      return invalidArgument(std::string("expected constant ") + side +
                             " scales to be finite and at least 0, but number " +
                             std::to_string(i) + " is " + std::to_string(scales[i]));
    if (granularity == LLMIR_SCALE_TENSOR && scales[i] != scales[0])
      return invalidArgument(std::string("expected all constant ") + side +
                             " scales to be equal with granularity tensor, but got " +
                             std::to_string(scales[0]) + " and " + std::to_string(scales[i]));
  }
  return Status::ok();
}

} // namespace

size_t PagedKVCache::numConstants(uint32_t granularity, int64_t layers) const {
  bool constant = granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
  return constant ? static_cast<size_t>(layers) * static_cast<size_t>(layout_.num_kv_heads) : 0;
}

Status PagedKVCache::setConstantScales(std::span<const float> keys, std::span<const float> values) {
  return setConstantScales(keys, values, {0, layout_.num_layers});
}

Status PagedKVCache::setConstantScales(std::span<const float> keys, std::span<const float> values,
                                       LayerRange layers) {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  struct Side {
    const char *name;
    std::span<const float> given;
    uint32_t granularity;
    std::vector<float> &known;
  };
  auto first = static_cast<size_t>(layers.first * layout_.num_kv_heads);
  const Side sides[] = {{"key", keys, layout_.key_scale_granularity, keyScales_},
                        {"value", values, layout_.value_scale_granularity, valueScales_}};
  for (const Side &side : sides) {
    LLMIR_RETURN_IF_ERROR(checkConstants(
        side.name, side.given, numConstants(side.granularity, layers.count), side.granularity));
    if (side.granularity == LLMIR_SCALE_TENSOR && layers.count != layout_.num_layers)
      return invalidArgument(std::string("expected the constant ") + side.name +
                             " scales of all layers with granularity tensor, but got those of " +
                             std::to_string(layers.count));
    for (size_t i = 0; i < side.given.size(); ++i)
      if (float known = side.known[first + i]; !std::isnan(known) && known != side.given[i])
        return failedPrecondition(std::string("cannot change constant ") + side.name + " scale " +
                                  std::to_string(first + i) + " from " + std::to_string(known) +
                                  " to " + std::to_string(side.given[i]) +
                                  ": what is stored was made with it");
  }
  for (const Side &side : sides)
    std::copy(side.given.begin(), side.given.end(),
              side.known.begin() + static_cast<std::ptrdiff_t>(first));
  return Status::ok();
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
