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
};

} // namespace

llmir::RowKernels llmir::avx2RowKernels(ElementType array, ElementType storage) {
  return makeRowKernels<AVX2Machine>(array, storage);
}

#endif
