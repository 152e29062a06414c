// RowKernels: converts a row of channels between the type of arrays (f32, f16, bf16) and one byte,
// two or four an element as a cache stores them, by the rule of docs/CacheLayout.md. Knows nothing
// of layouts. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_ROWKERNELS_H
#define LLMIR_LIB_CACHE_ROWKERNELS_H

#include "llmir/Cache/CacheLayout.h"

#include <cstdint>

namespace llmir {

/// The conversions for one pair of types. An i4 code takes a byte here, as code + 8. Pointers need
/// no alignment.
struct RowKernels {
  /// The largest magnitude of `count` elements; NaNs do not count.
  float (*maxMagnitude)(const uint8_t *array, int64_t count) = nullptr;
  /// codes[i] = code of array[i] * inverse.
  void (*encode)(const uint8_t *array, int64_t count, float inverse, uint8_t *codes) = nullptr;
  /// array[i] = value of codes[i] * scale.
  void (*decode)(const uint8_t *codes, int64_t count, float scale, uint8_t *array) = nullptr;
};

/// The conversions between arrays of type `array` (f32, f16 or bf16) and storage of type `storage`
/// with the instructions that this host has.
RowKernels rowKernels(ElementType array, ElementType storage);

/// The same with those that every processor of the architecture has. All give the same bytes.
RowKernels baselineRowKernels(ElementType array, ElementType storage);

/// The same with AVX2 and F16C; only on x86-64.
RowKernels avx2RowKernels(ElementType array, ElementType storage);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_ROWKERNELS_H
