// RowKernels with AVX2 and F16C: compiled with these on, so nothing here may run on, or be merged
// into code for, another processor.
//
// The floor of 32 numbers of f16, a line of the source, in instructions: 8 to read and scale them
// and 5 to look for NaNs; then 14 to i8 or i4 (4 to clamp, 4 to round, 3 to pack, 3 to clamp below,
// order and store) or 42 to an 8-bit float (7 a vector and 14 for all); before them 6, and 8 a row,
// for the largest magnitude where there are scales. Of keys 7 more transpose the codes.

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
  /// Packing works on halves of registers, so fours of bytes are out of order.
  LLMIR_INLINE static __m256i inOrder(__m256i bytes) {
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  LLMIR_INLINE static void store(uint8_t *data, __m256i bytes) {
    _mm256_storeu_si256(reinterpret_cast<__m256i *>(data), bytes);
  }
  /// Four vectors of signed integers to bytes, saturating and out of order.
  LLMIR_INLINE static __m256i packSigned(__m256i a, __m256i b, __m256i c, __m256i d) {
    return _mm256_packs_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
  }
  /// Whether any of 32 numbers is a NaN: a comparison of two vectors sees those of both.
  LLMIR_INLINE static bool anyNaN(Float a, Float b, Float c, Float d) {
    __m256 either =
        _mm256_or_ps(_mm256_cmp_ps(a, b, _CMP_UNORD_Q), _mm256_cmp_ps(c, d, _CMP_UNORD_Q));
    return !_mm256_testz_ps(either, either);
  }

  /// Integers from -Limit to Limit, out of order. No number is a NaN. What is too small becomes
  /// the smallest integer, then the smallest byte.
  template <int Limit> LLMIR_INLINE static __m256i integers(Float a, Float b, Float c, Float d) {
    auto nearest = [](Float value) __attribute__((always_inline)) {
      return _mm256_cvtps_epi32(_mm256_min_ps(value, splat(Limit)));
    };
    return _mm256_max_epi8(packSigned(nearest(a), nearest(b), nearest(c), nearest(d)),
                           _mm256_set1_epi8(-Limit));
  }

  /// 8-bit floats, out of order: nearestFloat8s() without NaNs. The sum of a number and so many
  /// times its power of two that the number is rounded has the new mantissa in its low 16 bits and
  /// the exponent in its high ones. Both are put together, less what the larger number has too
  /// much, when they are 16 bits, and get their signs when they are 8.
  template <int MantissaBits, int Bias, uint32_t Largest>
  LLMIR_INLINE static __m256i floats(Float a, Float b, Float c, Float d) {
    constexpr int dropped = 23 - MantissaBits, above = dropped - 16;
    constexpr int smallestNormal = (127 - Bias + 1) << 23;
    constexpr int excess = ((dropped << MantissaBits) + ((127 - Bias + 1) << MantissaBits))
                           << above;
    auto scaled = [](Float value) __attribute__((always_inline)) {
      __m256i bits = _mm256_and_si256(_mm256_castps_si256(value), _mm256_set1_epi32(0x7fffffff));
      __m256i clamped = _mm256_min_epi32(bits, _mm256_set1_epi32(int(Largest)));
      __m256i power = _mm256_max_epi32(_mm256_and_si256(clamped, _mm256_set1_epi32(0x7f800000)),
                                       _mm256_set1_epi32(smallestNormal));
      __m256i larger = _mm256_add_epi32(power, _mm256_set1_epi32(dropped << 23));
      __m256 sum = _mm256_add_ps(_mm256_castsi256_ps(clamped), _mm256_castsi256_ps(larger));
      // The high 16 bits + 2^above * the low ones, which have a sign.
      __m256i both = _mm256_castps_si256(sum);
      __m256i low = _mm256_srai_epi32(_mm256_slli_epi32(both, 16), 16 - above);
      return _mm256_add_epi32(_mm256_srli_epi32(both, 16), low);
    };
    auto magnitudes = [](__m256i first, __m256i second) __attribute__((always_inline)) {
      __m256i both = _mm256_packs_epi32(first, second);
      return _mm256_srli_epi16(_mm256_sub_epi16(both, _mm256_set1_epi16(excess)), above);
    };
    __m256i codes =
        _mm256_packs_epi16(magnitudes(scaled(a), scaled(b)), magnitudes(scaled(c), scaled(d)));
    __m256i signs = packSigned((__m256i)a, (__m256i)b, (__m256i)c, (__m256i)d);
    return _mm256_or_si256(codes, _mm256_and_si256(signs, _mm256_set1_epi8(-128)));
  }

  /// One vector at a time, as other machines.
  template <ElementType To>
  [[gnu::noinline]] static void writeFourWithNaNs(uint8_t *data, const Float *numbers) {
    for (int part = 0; part < 4; ++part)
      narrow1(data + part * width, codesOf<AVX2Machine, To>(numbers[part]));
  }

  /// 32 numbers as codes of a byte.
  template <ElementType To>
  LLMIR_INLINE static void writeFour(uint8_t *data, Float a, Float b, Float c, Float d) {
    if (anyNaN(a, b, c, d)) [[unlikely]] {
      Float numbers[] = {a, b, c, d};
      writeFourWithNaNs<To>(data, numbers);
    } else if constexpr (To == ElementType::I8) {
      store(data, inOrder(integers<127>(a, b, c, d)));
    } else if constexpr (To == ElementType::I4) {
      store(data, inOrder(_mm256_add_epi8(integers<7>(a, b, c, d), _mm256_set1_epi8(8))));
    } else if constexpr (To == ElementType::F8E4M3FN) {
      store(data, inOrder(floats<3, 7, 0x43e00000u>(a, b, c, d)));
    } else {
      store(data, inOrder(floats<2, 15, 0x47600000u>(a, b, c, d)));
    }
  }

  /// 32 bytes of two i4 codes each, of lows(0) to lows(3) and highs(0) to highs(3).
  template <typename Lows, typename Highs>
  LLMIR_INLINE static void writePairsOfFour(uint8_t *data, Lows lows, Highs highs) {
    Float low[] = {lows(0), lows(1), lows(2), lows(3)};
    Float high[] = {highs(0), highs(1), highs(2), highs(3)};
    if (anyNaN(low[0], low[1], low[2], low[3]) || anyNaN(high[0], high[1], high[2], high[3]))
        [[unlikely]] {
      uint8_t codes[8 * width];
      writeFourWithNaNs<ElementType::I4>(codes, low);
      writeFourWithNaNs<ElementType::I4>(codes + 4 * width, high);
      for (int i = 0; i < 4 * width; ++i)
        data[i] = static_cast<uint8_t>(codes[i] | codes[4 * width + i] << 4);
      return;
    }
    __m256i eight = _mm256_set1_epi8(8);
    __m256i lowCodes = _mm256_add_epi8(integers<7>(low[0], low[1], low[2], low[3]), eight);
    __m256i highCodes = _mm256_add_epi8(integers<7>(high[0], high[1], high[2], high[3]), eight);
    store(data, inOrder(_mm256_or_si256(lowCodes, _mm256_slli_epi16(highCodes, 4))));
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
