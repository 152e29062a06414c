// Transpose with AVX2: one tile, of which each half of a register transposes its own part. Compiled
// with AVX2 on, so nothing here may run on, or be merged into code for, another processor.

#include "Transpose.h"

#if defined(__x86_64__)

#include <immintrin.h>

#include <utility>

namespace {

using llmir::ConstStridedRows;
using llmir::StridedRows;

[[gnu::always_inline]] inline __m128i load(const uint8_t *data) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i *>(data));
}

/// Interleaves the low or the high halves of each 16 bytes.
template <int ElementSize, bool High>
[[gnu::always_inline]] inline __m256i interleave(__m256i a, __m256i b) {
  if constexpr (ElementSize == 1)
    return High ? _mm256_unpackhi_epi8(a, b) : _mm256_unpacklo_epi8(a, b);
  else if constexpr (ElementSize == 2)
    return High ? _mm256_unpackhi_epi16(a, b) : _mm256_unpacklo_epi16(a, b);
  else
    return High ? _mm256_unpackhi_epi32(a, b) : _mm256_unpacklo_epi32(a, b);
}

/// One round of the transposition of n rows of n elements in each half (see Transpose.cpp).
template <int ElementSize, size_t... I>
[[gnu::always_inline]] inline void interleaveRows(const __m256i *rows, __m256i *next,
                                                  std::index_sequence<I...>) {
  constexpr size_t half = sizeof...(I);
  ((next[2 * I] = interleave<ElementSize, false>(rows[I], rows[I + half]),
    next[2 * I + 1] = interleave<ElementSize, true>(rows[I], rows[I + half])),
   ...);
}

template <int ElementSize, size_t... I>
[[gnu::always_inline]] inline void transposeTile(StridedRows target, ConstStridedRows source,
                                                 std::index_sequence<I...>) {
  constexpr size_t n = sizeof...(I);
  using Half = std::make_index_sequence<n / 2>;
  __m256i rows[n], next[n];
  if constexpr (ElementSize == 1) // columns 0 to 15 and 16 to 31
    ((rows[I] = _mm256_loadu_si256(reinterpret_cast<const __m256i *>(
          source.data + static_cast<int64_t>(I) * source.stride))),
     ...);
  else // rows 0 to n - 1 and n to 2n - 1
    ((rows[I] = _mm256_set_m128i(load(source.data + static_cast<int64_t>(I + n) * source.stride),
                                 load(source.data + static_cast<int64_t>(I) * source.stride))),
     ...);
  interleaveRows<ElementSize>(rows, next, Half());
  interleaveRows<ElementSize>(next, rows, Half());
  if constexpr (n > 4)
    interleaveRows<ElementSize>(rows, next, Half());
  if constexpr (n > 8)
    interleaveRows<ElementSize>(next, rows, Half());
  const __m256i *result = n == 8 ? next : rows;
  if constexpr (ElementSize == 1)
    ((_mm_storeu_si128(
          reinterpret_cast<__m128i *>(target.data + static_cast<int64_t>(I) * target.stride),
          _mm256_castsi256_si128(result[I])),
      _mm_storeu_si128(
          reinterpret_cast<__m128i *>(target.data + static_cast<int64_t>(I + n) * target.stride),
          _mm256_extracti128_si256(result[I], 1))),
     ...);
  else
    (_mm256_storeu_si256(
         reinterpret_cast<__m256i *>(target.data + static_cast<int64_t>(I) * target.stride),
         result[I]),
     ...);
}

} // namespace

void llmir::transposeTileAVX2(StridedRows target, ConstStridedRows source, int64_t elementSize) {
  if (elementSize == 1)
    transposeTile<1>(target, source, std::make_index_sequence<16>());
  else if (elementSize == 2)
    transposeTile<2>(target, source, std::make_index_sequence<8>());
  else
    transposeTile<4>(target, source, std::make_index_sequence<4>());
}

#endif
