// CacheLayout: checks and names; the strides come from llmir_cache_layout_init.

#include "llmir/Cache/CacheLayout.h"

#include <limits>

namespace llmir {

std::string elementTypeName(uint32_t type) {
  switch (type) {
  case LLMIR_F32:
    return "f32";
  case LLMIR_F16:
    return "f16";
  case LLMIR_BF16:
    return "bf16";
  default:
    return "type " + std::to_string(type);
  }
}

StatusOr<ElementType> parseElementType(std::string_view name) {
  for (ElementType type : {ElementType::F32, ElementType::F16, ElementType::BF16})
    if (elementTypeName(type) == name)
      return type;
  return invalidArgument("expected element type f32, f16 or bf16, but got '" + std::string(name) +
                         "'");
}

int64_t elementSize(ElementType type) { return llmir_element_size(static_cast<uint32_t>(type)); }

namespace {

/// Ok when 1 <= value <= limit.
Status checkParameter(const char *name, int64_t value, int64_t limit) {
  if (value >= 1 && value <= limit)
    return Status::ok();
  return invalidArgument("expected '" + std::string(name) + "' to be 1 to " +
                         std::to_string(limit) + ", but got " + std::to_string(value));
}

Status checkType(const char *name, ElementType type) {
  if (elementSize(type) != 0)
    return Status::ok();
  return invalidArgument("expected '" + std::string(name) + "' to be f32, f16 or bf16, but got " +
                         elementTypeName(type));
}

} // namespace

StatusOr<llmir_cache_layout> makeCacheLayout(const CacheParameters &parameters) {
  // Limits keep every stride far from the end of int64; 2^20 of anything is no model.
  constexpr int64_t limit = int64_t(1) << 20;
  constexpr int64_t lengthLimit = std::numeric_limits<int32_t>::max() / 2;
  LLMIR_RETURN_IF_ERROR(checkType("key_type", parameters.keyType));
  LLMIR_RETURN_IF_ERROR(checkType("value_type", parameters.valueType));
  LLMIR_RETURN_IF_ERROR(checkParameter("num_layers", parameters.numLayers, limit));
  LLMIR_RETURN_IF_ERROR(checkParameter("num_kv_heads", parameters.numKVHeads, limit));
  LLMIR_RETURN_IF_ERROR(checkParameter("key_head_dim", parameters.keyHeadDim, limit));
  LLMIR_RETURN_IF_ERROR(checkParameter("value_head_dim", parameters.valueHeadDim, limit));
  LLMIR_RETURN_IF_ERROR(checkParameter("block_size", parameters.blockSize, limit));
  LLMIR_RETURN_IF_ERROR(checkParameter("max_seq_len", parameters.maxSeqLen, lengthLimit));

  double blockBytes = double(parameters.numLayers) * double(parameters.numKVHeads) *
                      double(parameters.blockSize) *
                      double(parameters.keyHeadDim + parameters.valueHeadDim) * 4;
  if (blockBytes > double(int64_t(1) << 40))
    return invalidArgument("expected a block to have at most 2^40 bytes, but layers x heads x "
                           "tokens x channels give about " +
                           std::to_string(blockBytes));

  llmir_cache_layout layout{};
  layout.key_type = static_cast<uint32_t>(parameters.keyType);
  layout.value_type = static_cast<uint32_t>(parameters.valueType);
  layout.num_layers = static_cast<int32_t>(parameters.numLayers);
  layout.num_kv_heads = static_cast<int32_t>(parameters.numKVHeads);
  layout.key_head_dim = static_cast<int32_t>(parameters.keyHeadDim);
  layout.value_head_dim = static_cast<int32_t>(parameters.valueHeadDim);
  layout.block_size = static_cast<int32_t>(parameters.blockSize);
  layout.max_seq_len = static_cast<int32_t>(parameters.maxSeqLen);
  llmir_cache_layout_init(&layout);
  return layout;
}

Status checkSameLayout(const llmir_cache_layout &actual, const llmir_cache_layout &expected) {
  auto differ = [](const char *field, const std::string &want, const std::string &have) {
    return failedPrecondition("expected a cache with '" + std::string(field) + "' " + want +
                              ", but it has " + have);
  };
#define LLMIR_COMPARE(field)                                                                       \
  if (actual.field != expected.field)                                                              \
  return differ(#field, std::to_string(expected.field), std::to_string(actual.field))
  LLMIR_COMPARE(struct_size);
  if (actual.key_type != expected.key_type)
    return differ("key_type", elementTypeName(expected.key_type), elementTypeName(actual.key_type));
  if (actual.value_type != expected.value_type)
    return differ("value_type", elementTypeName(expected.value_type),
                  elementTypeName(actual.value_type));
  LLMIR_COMPARE(num_layers);
  LLMIR_COMPARE(num_kv_heads);
  LLMIR_COMPARE(key_head_dim);
  LLMIR_COMPARE(value_head_dim);
  LLMIR_COMPARE(block_size);
  LLMIR_COMPARE(max_seq_len);
  LLMIR_COMPARE(block_stride);
  LLMIR_COMPARE(layer_stride);
  LLMIR_COMPARE(head_stride);
  LLMIR_COMPARE(value_offset);
  LLMIR_COMPARE(key_token_stride);
  LLMIR_COMPARE(key_channel_stride);
  LLMIR_COMPARE(value_token_stride);
  LLMIR_COMPARE(value_channel_stride);
  LLMIR_COMPARE(key_scale_offset);
  LLMIR_COMPARE(key_scale_stride);
  LLMIR_COMPARE(value_scale_offset);
  LLMIR_COMPARE(value_scale_stride);
#undef LLMIR_COMPARE
  return Status::ok();
}

} // namespace llmir
