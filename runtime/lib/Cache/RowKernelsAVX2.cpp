// RowKernels with AVX2 and F16C: compiled with these on, so nothing here may run on, or be merged
// into code for, another processor.

#include "RowKernels.h"

#if defined(__x86_64__)

#include "RowLoops.h"

#include <immintrin.h>

namespace {

/// Vectors of 32 bytes; binary16 by F16C, which rounds as NumberFormats does.
struct AVX2Machine : llmir::Numbers<8> {
  static constexpr int64_t width = 8;
  static constexpr bool narrowsFour = true;

  LLMIR_INLINE static Bits widen1(const uint8_t *data) {
    return (Bits)_mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(data)));
  }
  LLMIR_INLINE static Bits widen2(const uint8_t *data) {
    return (Bits)_mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(data)));
  }
  LLMIR_INLINE static __m128i narrowTo2(Bits bits) {
    __m256i all = (__m256i)bits;
    return _mm_packus_epi32(_mm256_castsi256_si128(all), _mm256_extracti128_si256(all, 1));
  }
  LLMIR_INLINE static void narrow1(uint8_t *data, Bits bits) {
    __m128i pairs = narrowTo2(bits);
    _mm_storel_epi64(reinterpret_cast<__m128i *>(data), _mm_packus_epi16(pairs, pairs));
  }
  /// Four vectors of codes up to 255.
  LLMIR_INLINE static void narrow1(uint8_t *data, Bits a, Bits b, Bits c, Bits d) {
    __m256i pairs = _mm256_packus_epi32((__m256i)a, (__m256i)b);
    __m256i others = _mm256_packus_epi32((__m256i)c, (__m256i)d);
    // Packing works on halves of registers, so the fours are out of order.
    __m256i order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    __m256i codes = _mm256_permutevar8x32_epi32(_mm256_packus_epi16(pairs, others), order);
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(data), codes);
  }
  LLMIR_INLINE static void narrow2(uint8_t *data, Bits bits) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(data), narrowTo2(bits));
  }
  LLMIR_INLINE static Float readHalves(const uint8_t *data) {
    return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(data)));
  }
  LLMIR_INLINE static void writeHalves(uint8_t *data, Float numbers) {
    _mm_storeu_si128(reinterpret_cast<__m128i *>(data),
                     _mm256_cvtps_ph(numbers, _MM_FROUND_TO_NEAREST_INT));
  }
  /// As the base's, in fewer instructions: the conversion rounds in the same way.
  LLMIR_INLINE static Bits nearestIntegers(Float value, float limit) {
    __m256 isNumber = _mm256_cmp_ps(value, value, _CMP_ORD_Q);
    __m256 clamped = _mm256_max_ps(_mm256_min_ps(value, splat(limit)), splat(-limit));
    return (Bits)_mm256_cvtps_epi32(_mm256_and_ps(clamped, isNumber));
  }
  template <typename Lane> LLMIR_INLINE static Lane largestLane(const void *lanes) {
    __m256i all = _mm256_loadu_si256(static_cast<const __m256i *>(lanes));
    __m128i low = _mm256_castsi256_si128(all), high = _mm256_extracti128_si256(all, 1);
    if constexpr (sizeof(Lane) == 2) {
      // Finds the smallest of eight; of the complements that is the largest's.
      __m128i complement = _mm_xor_si128(_mm_max_epi16(low, high), _mm_set1_epi16(-1));
      return static_cast<Lane>(~_mm_extract_epi16(_mm_minpos_epu16(complement), 0));
    } else {
      __m128i four = _mm_max_epi32(low, high);
      __m128i two = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
      return _mm_cvtsi128_si32(_mm_max_epi32(two, _mm_shuffle_epi32(two, 0xb1)));
    }
  }
};

} // namespace

const llmir::RowKernels &llmir::avx2RowKernels(ElementType array, ElementType storage) {
  return chooseRowKernels<AVX2Machine>(array, storage);
}

#endif
