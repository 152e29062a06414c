// Transpose: moves a matrix of 1-, 2- or 4-byte elements to its transpose, between rows of any
// stride. What turns tokens of channels into channels of tokens and back. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_TRANSPOSE_H
#define LLMIR_LIB_CACHE_TRANSPOSE_H

#include "StridedRows.h"

namespace llmir {

/// target[c][r] = source[r][c] for `rows` × `columns` elements of `elementSize` (1, 2 or 4) bytes.
void transpose(StridedRows target, ConstStridedRows source, int64_t rows, int64_t columns,
               int64_t elementSize);

/// target[2i] = even[i] and target[2i + 1] = odd[i], for `count` elements of two bytes each.
void interleavePairs(uint8_t *target, const uint8_t *even, const uint8_t *odd, int64_t count);

/// A tile of transpose(): 16 × 32 elements of 1 byte, 16 × 8 of 2 or 8 × 4 of 4, with AVX2; only on
/// x86-64.
void transposeTileAVX2(StridedRows target, ConstStridedRows source, int64_t elementSize);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_TRANSPOSE_H
