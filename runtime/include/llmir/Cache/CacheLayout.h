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
enum class ElementType : uint32_t { F32 = LLMIR_F32, F16 = LLMIR_F16, BF16 = LLMIR_BF16 };

/// `f32`, `f16` or `bf16`; `type <number>` for a number of no type.
std::string elementTypeName(uint32_t type);
inline std::string elementTypeName(ElementType type) {
  return elementTypeName(static_cast<uint32_t>(type));
}

/// The type of that name; InvalidArgument names the known ones.
StatusOr<ElementType> parseElementType(std::string_view name);

/// Bytes of an element.
int64_t elementSize(ElementType type);

/// The parameters of a cache type (`!llm.paged_kv_cache`), in the order of llmir_cache_layout.
struct CacheParameters {
  ElementType keyType = ElementType::F16;
  ElementType valueType = ElementType::F16;
  int64_t numLayers = 0;
  int64_t numKVHeads = 0;
  int64_t keyHeadDim = 0;
  int64_t valueHeadDim = 0;
  int64_t blockSize = 0; ///< Tokens a block.
  int64_t maxSeqLen = 0; ///< Tokens a sequence may have.
};

/// The layout of a cache; InvalidArgument names the parameter that is not positive or too large.
StatusOr<llmir_cache_layout> makeCacheLayout(const CacheParameters &parameters);

/// Ok when the two are the same in every field; otherwise FailedPrecondition with the first field
/// that differs and both values.
Status checkSameLayout(const llmir_cache_layout &actual, const llmir_cache_layout &expected);

/// Blocks that a sequence of `tokens` tokens occupies.
inline int64_t blocksForTokens(const llmir_cache_layout &layout, int64_t tokens) {
  return (tokens + layout.block_size - 1) / layout.block_size;
}

/// Bytes from block 0 to the keys of (block, layer, head, token in the block); channels follow at
/// key_channel_stride.
inline int64_t keyOffset(const llmir_cache_layout &layout, int64_t block, int64_t layer,
                         int64_t head, int64_t token) {
  return block * layout.block_stride + layer * layout.layer_stride + head * layout.head_stride +
         token * layout.key_token_stride;
}

/// The same for the values; channels follow at value_channel_stride.
inline int64_t valueOffset(const llmir_cache_layout &layout, int64_t block, int64_t layer,
                           int64_t head, int64_t token) {
  return block * layout.block_stride + layer * layout.layer_stride + head * layout.head_stride +
         layout.value_offset + token * layout.value_token_stride;
}

} // namespace llmir

#endif // LLMIR_CACHE_CACHELAYOUT_H
