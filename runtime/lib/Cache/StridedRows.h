// StridedRows: a matrix in memory whose rows lie at any distance. Internal to the cache.

#ifndef LLMIR_LIB_CACHE_STRIDEDROWS_H
#define LLMIR_LIB_CACHE_STRIDEDROWS_H

#include <cstdint>

namespace llmir {

/// The elements of a row lie side by side; `stride` is the bytes from a row to the next.
struct StridedRows {
  uint8_t *data = nullptr;
  int64_t stride = 0;
};
struct ConstStridedRows {
  const uint8_t *data = nullptr;
  int64_t stride = 0;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_STRIDEDROWS_H
