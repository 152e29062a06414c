// Transpose: moves a matrix of 1-, 2- or 4-byte elements to its transpose, between rows of any
// stride. What turns tokens of channels into channels of tokens and back. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_TRANSPOSE_H
#define LLMIR_LIB_CACHE_TRANSPOSE_H

#include <cstdint>

namespace llmir {

/// A matrix in memory: bytes from a row to the next; the elements of a row lie side by side.
struct StridedRows {
  uint8_t *data = nullptr;
  int64_t stride = 0;
};
struct ConstStridedRows {
  const uint8_t *data = nullptr;
  int64_t stride = 0;
};

/// target[c][r] = source[r][c] for `rows` × `columns` elements of `elementSize` (1, 2 or 4) bytes.
void transpose(StridedRows target, ConstStridedRows source, int64_t rows, int64_t columns,
               int64_t elementSize);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_TRANSPOSE_H
