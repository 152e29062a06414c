// CacheLayout: checks and names; the strides come from llmir_cache_layout_init.

#include "llmir/Cache/CacheLayout.h"

#include <array>
#include <limits>

namespace llmir {

namespace {

constexpr std::array<const char *, 7> elementTypeNames = {"f32",    "f16", "bf16", "f8E4M3FN",
                                                          "f8E5M2", "i8",  "i4"};
constexpr std::array<const char *, 5> granularityNames = {"none", "tensor", "head", "token",
                                                          "group"};
constexpr std::array<const char *, 3> arrangementNames = {"channel_major_keys", "token_major_keys",
                                                          "pairs"};

/// The name of a number, or `what number`.
template <typename Names> std::string nameOf(const Names &names, const char *what, uint32_t value) {
  return value < names.size() ? names[value] : std::string(what) + " " + std::to_string(value);
}

/// `a, b or c`.
template <typename Names> std::string listOf(const Names &names) {
  std::string list = names[0];
  for (size_t i = 1; i < names.size(); ++i)
    list += std::string(i + 1 < names.size() ? ", " : " or ") + names[i];
  return list;
}

template <typename Enum, typename Names>
StatusOr<Enum> parseName(const Names &names, const char *what, std::string_view name) {
  for (size_t i = 0; i < names.size(); ++i)
    if (name == names[i])
      return static_cast<Enum>(i);
  return invalidArgument(std::string("expected ") + what + " " + listOf(names) + ", but got '" +
                         std::string(name) + "'");
}

} // namespace

std::string elementTypeName(uint32_t type) { return nameOf(elementTypeNames, "type", type); }

std::string scaleGranularityName(ScaleGranularity granularity) {
  return nameOf(granularityNames, "granularity", static_cast<uint32_t>(granularity));
}

std::string cacheArrangementName(CacheArrangement arrangement) {
  return nameOf(arrangementNames, "arrangement", static_cast<uint32_t>(arrangement));
}

StatusOr<ElementType> parseElementType(std::string_view name) {
  return parseName<ElementType>(elementTypeNames, "element type", name);
}

StatusOr<ScaleGranularity> parseScaleGranularity(std::string_view name) {
  return parseName<ScaleGranularity>(granularityNames, "scale granularity", name);
}

StatusOr<CacheArrangement> parseCacheArrangement(std::string_view name) {
  return parseName<CacheArrangement>(arrangementNames, "arrangement", name);
}

int64_t elementSize(ElementType type) { return llmir_element_size(static_cast<uint32_t>(type)); }

namespace {

std::string quoted(const char *name) { return "'" + std::string(name) + "'"; }

/// Ok when least <= value <= limit.
Status checkRange(const char *name, int64_t value, int64_t least, int64_t limit) {
  if (value >= least && value <= limit)
    return Status::ok();
  return invalidArgument("expected " + quoted(name) + " to be " + std::to_string(least) + " to " +
                         std::to_string(limit) + ", but got " + std::to_string(value));
}

/// Keys or values: the parameters that are separate for them, with their names.
struct Side {
  const char *typeName;
  const char *headDimName;
  const char *scalesName;
  const char *groupName;
  ElementType type;
  int64_t headDim;
  ScaleGranularity scales;
  int64_t group;
};

Status checkGroup(const Side &side) {
  if (side.scales != ScaleGranularity::Group) {
    if (side.group == 0)
      return Status::ok();
    return invalidArgument("expected " + quoted(side.groupName) + " to be 0 with " +
                           quoted(side.scalesName) + " " + scaleGranularityName(side.scales) +
                           ", but got " + std::to_string(side.group));
  }
  // Two i4 channels share a byte, half a head apart, so each half has groups of its own.
  bool halves = side.type == ElementType::I4;
  int64_t whole = halves ? side.headDim / 2 : side.headDim;
  if (side.group >= 1 && side.group <= whole && whole % side.group == 0)
    return Status::ok();
  return invalidArgument("expected " + quoted(side.groupName) + " to divide " +
                         (halves ? "half of " : "") + quoted(side.headDimName) + " " +
                         std::to_string(side.headDim) + ", but got " + std::to_string(side.group));
}

Status checkSide(const Side &side) {
  if (side.type > ElementType::I4)
    return invalidArgument("expected " + quoted(side.typeName) + " to be " +
                           listOf(elementTypeNames) + ", but got " + elementTypeName(side.type));
  if (side.scales > ScaleGranularity::Group)
    return invalidArgument("expected " + quoted(side.scalesName) + " to be " +
                           listOf(granularityNames) + ", but got " +
                           scaleGranularityName(side.scales));
  bool integer = side.type == ElementType::I8 || side.type == ElementType::I4;
  if (integer && side.scales == ScaleGranularity::None)
    return invalidArgument("expected " + quoted(side.scalesName) + " with " +
                           quoted(side.typeName) + " " + elementTypeName(side.type) +
                           ": integer codes have no meaning without scales");
  if (isFloatArrayType(side.type) && side.scales != ScaleGranularity::None)
    return invalidArgument("expected no " + quoted(side.scalesName) + " with " +
                           quoted(side.typeName) + " " + elementTypeName(side.type) +
                           ", which is stored as it is, but got " +
                           scaleGranularityName(side.scales));
  if (side.type == ElementType::I4 && side.headDim % 2 != 0)
    return invalidArgument("expected " + quoted(side.headDimName) +
                           " to be even with i4, of which two share a byte, but got " +
                           std::to_string(side.headDim));
  return checkGroup(side);
}

/// Pairs are what a dot product of two bf16 reads.
Status checkPairs(const CacheParameters &parameters, const Side (&sides)[2]) {
  for (const Side &side : sides) {
    if (side.type != ElementType::BF16)
      return invalidArgument("expected " + quoted(side.typeName) +
                             " to be bf16 in arrangement pairs, but got " +
                             elementTypeName(side.type));
    if (side.headDim % 2 != 0)
      return invalidArgument("expected " + quoted(side.headDimName) +
                             " to be even in arrangement pairs, but got " +
                             std::to_string(side.headDim));
  }
  if (parameters.blockSize % 2 != 0)
    return invalidArgument("expected 'block_size' to be even in arrangement pairs, but got " +
                           std::to_string(parameters.blockSize));
  return Status::ok();
}

Status checkShape(const CacheParameters &parameters) {
  // Limits keep every stride far from the end of int64; 2^20 of anything is no model.
  constexpr int64_t limit = int64_t(1) << 20;
  constexpr int64_t lengthLimit = std::numeric_limits<int32_t>::max() / 2;
  LLMIR_RETURN_IF_ERROR(checkRange("num_layers", parameters.numLayers, 1, limit));
  LLMIR_RETURN_IF_ERROR(checkRange("num_kv_heads", parameters.numKVHeads, 1, limit));
  LLMIR_RETURN_IF_ERROR(checkRange("key_head_dim", parameters.keyHeadDim, 1, limit));
  LLMIR_RETURN_IF_ERROR(checkRange("value_head_dim", parameters.valueHeadDim, 1, limit));
  LLMIR_RETURN_IF_ERROR(checkRange("block_size", parameters.blockSize, 1, limit));
  LLMIR_RETURN_IF_ERROR(checkRange("max_seq_len", parameters.maxSeqLen, 1, lengthLimit));
  LLMIR_RETURN_IF_ERROR(checkRange("window", parameters.window, 0, lengthLimit));
  LLMIR_RETURN_IF_ERROR(checkRange("num_sinks", parameters.numSinks, 0, lengthLimit));
  if (parameters.numSinks > 0 && parameters.window == 0)
    return invalidArgument("expected 'num_sinks' to be 0 without a window, but got " +
                           std::to_string(parameters.numSinks));
  // A channel takes at most 4 bytes and a scale of 4.
  double blockBytes = double(parameters.numLayers) * double(parameters.numKVHeads) *
                      double(parameters.blockSize) *
                      double(parameters.keyHeadDim + parameters.valueHeadDim) * 4;
  if (blockBytes > double(int64_t(1) << 40))
    return invalidArgument("expected a block to have at most 2^40 bytes, but layers x heads x "
                           "tokens x channels give about " +
                           std::to_string(blockBytes));
  return Status::ok();
}

Status checkParameters(const CacheParameters &parameters) {
  LLMIR_RETURN_IF_ERROR(checkShape(parameters));
  if (parameters.arrangement > CacheArrangement::Pairs)
    return invalidArgument("expected 'arrangement' to be " + listOf(arrangementNames) +
                           ", but got " + cacheArrangementName(parameters.arrangement));
  if (!isFloatArrayType(parameters.scaleType))
    return invalidArgument("expected 'scale_type' to be f32, f16 or bf16, but got " +
                           elementTypeName(parameters.scaleType));
  const Side sides[2] = {
      {"key_type", "key_head_dim", "key_scales", "key_scale_group", parameters.keyType,
       parameters.keyHeadDim, parameters.keyScales, parameters.keyScaleGroup},
      {"value_type", "value_head_dim", "value_scales", "value_scale_group", parameters.valueType,
       parameters.valueHeadDim, parameters.valueScales, parameters.valueScaleGroup}};
  for (const Side &side : sides)
    LLMIR_RETURN_IF_ERROR(checkSide(side));
  if (parameters.arrangement == CacheArrangement::Pairs)
    return checkPairs(parameters, sides);
  return Status::ok();
}

bool hasStoredScales(ScaleGranularity granularity) {
  return granularity == ScaleGranularity::Token || granularity == ScaleGranularity::Group;
}

} // namespace

StatusOr<llmir_cache_layout> makeCacheLayout(const CacheParameters &parameters) {
  LLMIR_RETURN_IF_ERROR(checkParameters(parameters));
  llmir_cache_layout layout{};
  layout.key_type = static_cast<uint32_t>(parameters.keyType);
  layout.value_type = static_cast<uint32_t>(parameters.valueType);
  layout.num_layers = static_cast<int32_t>(parameters.numLayers);
  layout.num_kv_heads = static_cast<int32_t>(parameters.numKVHeads);
  layout.key_head_dim = static_cast<int32_t>(parameters.keyHeadDim);
  layout.value_head_dim = static_cast<int32_t>(parameters.valueHeadDim);
  layout.block_size = static_cast<int32_t>(parameters.blockSize);
  layout.max_seq_len = static_cast<int32_t>(parameters.maxSeqLen);
  layout.arrangement = static_cast<uint32_t>(parameters.arrangement);
  layout.key_scale_granularity = static_cast<uint32_t>(parameters.keyScales);
  layout.value_scale_granularity = static_cast<uint32_t>(parameters.valueScales);
  // The ABI wants zero (f32) where no scale is stored.
  if (hasStoredScales(parameters.keyScales) || hasStoredScales(parameters.valueScales))
    layout.scale_type = static_cast<uint32_t>(parameters.scaleType);
  layout.key_scale_group = static_cast<int32_t>(parameters.keyScaleGroup);
  layout.value_scale_group = static_cast<int32_t>(parameters.valueScaleGroup);
  layout.window = static_cast<int32_t>(parameters.window);
  layout.num_sinks = static_cast<int32_t>(parameters.numSinks);
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
  LLMIR_COMPARE(arrangement);
  LLMIR_COMPARE(key_scale_granularity);
  LLMIR_COMPARE(value_scale_granularity);
  LLMIR_COMPARE(scale_type);
  LLMIR_COMPARE(key_scale_group);
  LLMIR_COMPARE(value_scale_group);
  LLMIR_COMPARE(window);
  LLMIR_COMPARE(num_sinks);
  LLMIR_COMPARE(key_interleave);
  LLMIR_COMPARE(value_interleave);
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

int64_t storedBytesPerToken(const llmir_cache_layout &layout) {
  int64_t codeBits = layout.key_head_dim * llmir_element_bits(layout.key_type) +
                     layout.value_head_dim * llmir_element_bits(layout.value_type);
  int64_t scales = llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                             layout.key_scale_group) +
                   llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                             layout.value_scale_group);
  return int64_t{layout.num_layers} * layout.num_kv_heads *
         (codeBits / 8 + scales * llmir_element_size(layout.scale_type));
}

} // namespace llmir
