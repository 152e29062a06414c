// C++ helpers around llmir_cache_layout: making one from a cache's parameters with every check, the
// names of storage types, comparison, and element offsets. The strides themselves are computed by
// llmir_cache_layout_init in ABI.h and nowhere else; docs/CacheLayout.md draws them.

#ifndef LLMIR_CACHE_CACHELAYOUT_H
#define LLMIR_CACHE_CACHELAYOUT_H

#include "llmir/ABI.h"
#include "llmir/Base/Status.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace llmir {

/// How a cache stores its elements; the numbers are those of the ABI.
enum class ElementType : uint32_t {
  F32 = LLMIR_F32,
  F16 = LLMIR_F16,
  BF16 = LLMIR_BF16,
  F8E4M3FN = LLMIR_F8E4M3FN,
  F8E5M2 = LLMIR_F8E5M2,
  I8 = LLMIR_I8,
  I4 = LLMIR_I4
};

/// Which elements share a scale (llmir_scale_granularity).
enum class ScaleGranularity : uint32_t {
  None = LLMIR_SCALE_NONE,
  Tensor = LLMIR_SCALE_TENSOR,
  Head = LLMIR_SCALE_HEAD,
  Token = LLMIR_SCALE_TOKEN,
  Group = LLMIR_SCALE_GROUP
};

/// How a head's elements follow one another (llmir_cache_arrangement).
enum class CacheArrangement : uint32_t {
  ChannelMajorKeys = LLMIR_CHANNEL_MAJOR_KEYS,
  TokenMajorKeys = LLMIR_TOKEN_MAJOR_KEYS,
  Pairs = LLMIR_PAIRS
};

/// `f32`, `f16`, `bf16`, `f8E4M3FN`, `f8E5M2`, `i8` or `i4`; `type <number>` for a number of no
/// type.
std::string elementTypeName(uint32_t type);
inline std::string elementTypeName(ElementType type) {
  return elementTypeName(static_cast<uint32_t>(type));
}
/// `none`, `tensor`, `head`, `token` or `group`; `granularity <number>` for another number.
std::string scaleGranularityName(ScaleGranularity granularity);
/// `channel_major_keys`, `token_major_keys` or `pairs`; `arrangement <number>` for another number.
std::string cacheArrangementName(CacheArrangement arrangement);

/// The type, granularity or arrangement of that name; InvalidArgument names the known ones.
StatusOr<ElementType> parseElementType(std::string_view name);
StatusOr<ScaleGranularity> parseScaleGranularity(std::string_view name);
StatusOr<CacheArrangement> parseCacheArrangement(std::string_view name);

/// Bytes of an element; 0 for i4, of which two share a byte.
int64_t elementSize(ElementType type);

/// Whether arrays of that type can be handed in and out: f32, f16 or bf16.
inline bool isFloatArrayType(ElementType type) { return type <= ElementType::BF16; }

/// The parameters of a cache type (`!llm.paged_kv_cache`). The defaults store what they are given.
struct CacheParameters {
  ElementType keyType = ElementType::F16;
  ElementType valueType = ElementType::F16;
  int64_t numLayers = 0;
  int64_t numKVHeads = 0;
  int64_t keyHeadDim = 0;
  int64_t valueHeadDim = 0;
  int64_t blockSize = 0; ///< Tokens a block.
  int64_t maxSeqLen = 0; ///< Tokens a sequence may have.
  CacheArrangement arrangement = CacheArrangement::ChannelMajorKeys;
  ScaleGranularity keyScales = ScaleGranularity::None;
  ScaleGranularity valueScales = ScaleGranularity::None;
  /// Of stored scales (token, group): f32, f16 or bf16. Constants are f32 whatever it is.
  ElementType scaleType = ElementType::F32;
  int64_t keyScaleGroup = 0; ///< Channels a group; 0 unless keyScales is Group.
  int64_t valueScaleGroup = 0;
  int64_t window = 0;   ///< Positions that a token attends to, its own included; 0: all.
  int64_t numSinks = 0; ///< First positions that are attended to beyond the window.
};

/// The layout of a cache; InvalidArgument names the parameter that is out of range, or the two that
/// do not go together and why (docs/CacheLayout.md lists what does).
StatusOr<llmir_cache_layout> makeCacheLayout(const CacheParameters &parameters);

/// Ok when the two are the same in every field; otherwise FailedPrecondition with the first field
/// that differs and both values.
Status checkSameLayout(const llmir_cache_layout &actual, const llmir_cache_layout &expected);

/// Bytes of one token's keys, values and stored scales in all layers: what attention reads of it.
/// Padding and constant scales are not in it.
int64_t storedBytesPerToken(const llmir_cache_layout &layout);

/// Blocks that a sequence of `tokens` tokens occupies.
inline int64_t blocksForTokens(const llmir_cache_layout &layout, int64_t tokens) {
  return (tokens + layout.block_size - 1) / layout.block_size;
}

/// Bytes from block 0 to what belongs to (block, layer, head).
inline int64_t headOffset(const llmir_cache_layout &layout, int64_t block, int64_t layer,
                          int64_t head) {
  return block * layout.block_stride + layer * layout.layer_stride + head * layout.head_stride;
}

/// Bytes from block 0 to the key of (block, layer, head, token in the block), channel 0. Channel c
/// is (c / key_interleave) * key_channel_stride + (c % key_interleave) elements further.
inline int64_t keyOffset(const llmir_cache_layout &layout, int64_t block, int64_t layer,
                         int64_t head, int64_t token) {
  return headOffset(layout, block, layer, head) + token * layout.key_token_stride;
}

/// The same for the value; channels follow at value_channel_stride.
inline int64_t valueOffset(const llmir_cache_layout &layout, int64_t block, int64_t layer,
                           int64_t head, int64_t token) {
  return headOffset(layout, block, layer, head) + layout.value_offset +
         token / layout.value_interleave * layout.value_token_stride +
         token % layout.value_interleave * llmir_element_size(layout.value_type);
}

} // namespace llmir

#endif // LLMIR_CACHE_CACHELAYOUT_H
