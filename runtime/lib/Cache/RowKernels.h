// RowKernels: converts a row of channels between the type of arrays (f32, f16, bf16) and one byte,
// two or four an element as a cache stores them, by the rule of docs/CacheLayout.md. Knows nothing
// of layouts. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_ROWKERNELS_H
#define LLMIR_LIB_CACHE_ROWKERNELS_H

#include "StridedRows.h"
#include "llmir/Cache/CacheLayout.h"

#include <cstdint>

namespace llmir {

/// Factors by groups are given for so many elements at a time, of which no two groups have a part.
inline constexpr int64_t factorElements = 8;

/// The conversions for one pair of types, for `rows` rows of `count` elements, each row with its
/// factor. Rows need no alignment. Null where a pair of types has no use for one.
struct RowKernels {
  /// largest[r] = the largest magnitude of row r; NaNs do not count. There is room for `rows`
  /// rounded up to a multiple of 8.
  void (*maxMagnitudes)(ConstStridedRows array, int64_t rows, int64_t count, float *largest);
  /// Of f32 to the type of stored scales: the scales of groups whose largest magnitudes are
  /// `largest` and whose largest code is `code`, and what their elements are multiplied by. There
  /// is room for `count` rounded up to a multiple of 8 in all three.
  void (*makeScales)(const float *largest, int64_t count, float code, uint8_t *stored,
                     float *inverses);
  /// codes[r][i] = code of array[r][i] * factors[r].
  void (*encode)(ConstStridedRows array, int64_t rows, int64_t count, const float *factors,
                 StridedRows codes);
  /// The same with factors[i / factorElements][r], for codes of a byte.
  void (*encodeGroups)(ConstStridedRows array, int64_t rows, int64_t count,
                       const float *const *factors, StridedRows codes);
  /// array[r][i] = value of codes[r][i] * factors[r].
  void (*decode)(ConstStridedRows codes, int64_t rows, int64_t count, const float *factors,
                 StridedRows array);
  /// Of i4, whose codes take a byte above: the same where a byte has two, one from the low array in
  /// its low bits and one from the high array.
  void (*encodePairs)(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                      const float *lowFactors, const float *highFactors, StridedRows codes);
  void (*encodePairGroups)(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                           const float *const *lowFactors, const float *const *highFactors,
                           StridedRows codes);
  void (*decodePairs)(ConstStridedRows codes, int64_t rows, int64_t count, const float *lowFactors,
                      const float *highFactors, StridedRows low, StridedRows high);
};

/// The conversions between arrays of type `array` (f32, f16 or bf16) and storage of type `storage`
/// with the instructions that this host has.
const RowKernels &rowKernels(ElementType array, ElementType storage);

/// The same with those that every processor of the architecture has. All give the same bytes.
const RowKernels &baselineRowKernels(ElementType array, ElementType storage);

/// The same with AVX2 and F16C; only on x86-64.
const RowKernels &avx2RowKernels(ElementType array, ElementType storage);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_ROWKERNELS_H
