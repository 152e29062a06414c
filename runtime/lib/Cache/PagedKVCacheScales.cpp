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

size_t PagedKVCache::numConstants(uint32_t granularity) const {
  bool constant = granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
  return constant
             ? static_cast<size_t>(layout_.num_layers) * static_cast<size_t>(layout_.num_kv_heads)
             : 0;
}

Status PagedKVCache::setConstantScales(std::span<const float> keys, std::span<const float> values) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(checkConstants("key", keys, numConstants(layout_.key_scale_granularity),
                                       layout_.key_scale_granularity));
  LLMIR_RETURN_IF_ERROR(checkConstants("value", values,
                                       numConstants(layout_.value_scale_granularity),
                                       layout_.value_scale_granularity));
  bool same = std::ranges::equal(keys, keyScales_) && std::ranges::equal(values, valueScales_);
  if (!keyScales_.empty() || !valueScales_.empty())
    return same ? Status::ok()
                : failedPrecondition("the constant scales are given already: what is stored was "
                                     "made with them");
  keyScales_.assign(keys.begin(), keys.end());
  valueScales_.assign(values.begin(), values.end());
  return Status::ok();
}

Status PagedKVCache::checkConstantScales() const {
  LLMIR_RETURN_IF_ERROR(status_);
  if (hasConstantScales() && keyScales_.empty() && valueScales_.empty())
    return failedPrecondition("expected constant scales of the " +
                              std::to_string(numConstants(layout_.key_scale_granularity)) +
                              " key and " +
                              std::to_string(numConstants(layout_.value_scale_granularity)) +
                              " value heads of a cache with granularity tensor or head, but none "
                              "were given");
  return Status::ok();
}

llmir_cache_view PagedKVCache::view(const CacheStepTables &tables) const {
  llmir_cache_view view = tables.view(base());
  view.key_scales = keyScales_.empty() ? nullptr : keyScales_.data();
  view.value_scales = valueScales_.empty() ? nullptr : valueScales_.data();
  return view;
}

} // namespace llmir
