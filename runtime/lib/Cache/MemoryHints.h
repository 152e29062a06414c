// MemoryHints: what tokens are stored with besides plain stores: lines that start loading before
// they are written, and whole heads that go past the caches. Hints change no byte of what is
// stored.

#ifndef LLMIR_LIB_CACHE_MEMORYHINTS_H
#define LLMIR_LIB_CACHE_MEMORYHINTS_H

#include "llmir/ABI.h"

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace llmir {

inline constexpr int64_t lineBytes = 64;

/// Starts loading `bytes` bytes that are read some time later: into the second level, which has
/// more lines on their way at once than the first, and keeps them until then.
inline void prefetchToRead(const uint8_t *data, int64_t bytes) {
  for (int64_t at = 0; at < bytes; at += lineBytes)
    __builtin_prefetch(data + at, 0, 2);
}
/// Starts loading `bytes` bytes that are written soon.
inline void prefetchToWrite(uint8_t *data, int64_t bytes) {
  // The last byte may be in a line of its own.
  auto offset = static_cast<int64_t>(reinterpret_cast<uintptr_t>(data) % lineBytes);
  for (int64_t at = -offset; at < bytes; at += lineBytes)
    __builtin_prefetch(data + at, 1);
}

/// The scales of one token.
inline void prefetchScales(uint8_t *scales, int64_t stride, int64_t groups) {
  for (int64_t group = 0; group < groups; ++group)
    __builtin_prefetch(scales + group * stride, 1);
}

/// Starts loading the lines in which a token of a head will be stored.
inline void prefetchToken(const llmir_cache_layout &layout, uint8_t *head, int64_t token) {
  if (layout.arrangement == LLMIR_TOKEN_MAJOR_KEYS)
    prefetchToWrite(head + token * layout.key_token_stride, layout.key_token_stride);
  else if (layout.key_channel_stride <= lineBytes)
    prefetchToWrite(head, layout.value_offset); // Every line has a part of each token.
  else
    for (int64_t at = 0; at < layout.value_offset; at += layout.key_channel_stride)
      __builtin_prefetch(head + at + token * layout.key_token_stride, 1);
  int64_t row = layout.value_interleave == 1 ? token : token / layout.value_interleave;
  prefetchToWrite(head + layout.value_offset + row * layout.value_token_stride,
                  layout.value_token_stride);
  int64_t scaleBytes = llmir_element_size(layout.scale_type);
  prefetchScales(head + layout.key_scale_offset + token * scaleBytes, layout.key_scale_stride,
                 llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                           layout.key_scale_group));
  prefetchScales(head + layout.value_scale_offset + token * scaleBytes, layout.value_scale_stride,
                 llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                           layout.value_scale_group));
}

/// Copies whole lines to where they are not read soon: they are not loaded first, and push nothing
/// out of the caches. Both sides are at multiples of a line. Followed by finishStreaming().
inline void streamLines(uint8_t *target, const uint8_t *source, int64_t bytes) {
#if defined(__x86_64__)
  for (int64_t at = 0; at < bytes; at += 16)
    _mm_stream_si128(reinterpret_cast<__m128i *>(target + at),
                     _mm_load_si128(reinterpret_cast<const __m128i *>(source + at)));
#else
  std::memcpy(target, source, static_cast<size_t>(bytes));
#endif
}

/// What was streamed is seen by everybody who sees what is stored after this.
inline void finishStreaming() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

} // namespace llmir

#endif // LLMIR_LIB_CACHE_MEMORYHINTS_H
