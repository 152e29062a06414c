// TagCodec: tags as keys and values. A tag becomes channels of +1 and -1, one bit each, so that it
// survives every storage type; what is read back is compared by sign.

#ifndef LLMIR_UNITTESTS_CACHEMODEL_TAGCODEC_H
#define LLMIR_UNITTESTS_CACHEMODEL_TAGCODEC_H

#include "llmir/Cache/PagedKVCache.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmir::model {

/// Names one written token.
using Tag = uint32_t;

/// Arrays for appendKV, [layers, tokens, KV heads, head dim], never empty.
struct EncodedTags {
  std::vector<uint8_t> keys, values;
};

/// The arrays for `tags`, one a token, in elements of `type` (f32, f16 or bf16).
EncodedTags encodeTags(const llmir_cache_layout &layout, ElementType type,
                       std::span<const Tag> tags);

/// Empty when `sequence` reads `tags` and nothing else; otherwise what it does instead.
std::string checkTags(const PagedKVCache &cache, ElementType type, SequenceId sequence,
                      std::span<const Tag> tags);

} // namespace llmir::model

#endif // LLMIR_UNITTESTS_CACHEMODEL_TAGCODEC_H
