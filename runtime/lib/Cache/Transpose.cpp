// Transpose: square tiles of 16-byte vectors by log2(n) rounds of interleaving, the rest element by
// element. Written with the vector extensions that both compilers share; larger tiles with AVX2.

#include "Transpose.h"

#include "llmir/Device/CPUFeatures.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace llmir {

namespace {

template <typename T> struct VectorOf {
  typedef T type __attribute__((vector_size(16)));
  static constexpr size_t size = 16 / sizeof(T);
};
template <typename T> using Vector = typename VectorOf<T>::type;

/// The halves of `a` and `b` that start at `First`, element by element in turn.
template <size_t First, typename V, size_t... I>
inline V interleave(V a, V b, std::index_sequence<I...>) {
  constexpr size_t count = sizeof...(I);
  return __builtin_shufflevector(a, b, (First + I / 2 + (I % 2) * count)...);
}

/// One round: row i interleaved with row i + n/2.
template <typename T, size_t... I>
inline void interleaveRows(const Vector<T> *rows, Vector<T> *next, std::index_sequence<I...>) {
  constexpr size_t n = VectorOf<T>::size;
  using Lanes = std::make_index_sequence<n>;
  ((next[2 * I] = interleave<0>(rows[I], rows[I + n / 2], Lanes()),
    next[2 * I + 1] = interleave<n / 2>(rows[I], rows[I + n / 2], Lanes())),
   ...);
}

/// n rows of n elements, n = 16 / sizeof(T). A round moves the top bit of the row number to the
/// bottom of the column number; after log2(n) of them the two have changed places.
template <typename T, size_t... I>
inline void transposeTile(StridedRows target, ConstStridedRows source, std::index_sequence<I...>) {
  constexpr size_t n = sizeof...(I);
  using Half = std::make_index_sequence<n / 2>;
  Vector<T> rows[n], next[n];
  (std::memcpy(&rows[I], source.data + static_cast<int64_t>(I) * source.stride, 16), ...);
  interleaveRows<T>(rows, next, Half());
  interleaveRows<T>(next, rows, Half());
  if constexpr (n > 4)
    interleaveRows<T>(rows, next, Half());
  if constexpr (n > 8)
    interleaveRows<T>(next, rows, Half());
  const Vector<T> *result = n == 8 ? next : rows;
  (std::memcpy(target.data + static_cast<int64_t>(I) * target.stride, &result[I], 16), ...);
}

/// The rows and columns from (firstRow, firstColumn) on.
template <typename T>
void transposeEdge(StridedRows target, ConstStridedRows source, int64_t firstRow, int64_t rows,
                   int64_t firstColumn, int64_t columns) {
  for (int64_t r = firstRow; r < rows; ++r) {
    const uint8_t *from = source.data + r * source.stride;
    uint8_t *to = target.data + r * int64_t(sizeof(T));
    for (int64_t c = firstColumn; c < columns; ++c)
      std::memcpy(to + c * target.stride, from + c * int64_t(sizeof(T)), sizeof(T));
  }
}

/// With the instructions of the baseline.
template <typename T>
void transposeBaseline(StridedRows target, ConstStridedRows source, int64_t rows, int64_t columns) {
  constexpr int64_t n = VectorOf<T>::size, size = sizeof(T);
  int64_t wholeRows = rows / n * n, wholeColumns = columns / n * n;
  for (int64_t c = 0; c < wholeColumns; c += n)
    for (int64_t r = 0; r < wholeRows; r += n)
      transposeTile<T>({target.data + c * target.stride + r * size, target.stride},
                       {source.data + r * source.stride + c * size, source.stride},
                       std::make_index_sequence<n>());
  transposeEdge<T>(target, source, 0, wholeRows, wholeColumns, columns);
  transposeEdge<T>(target, source, wholeRows, rows, 0, columns);
}

bool hasAVX2() {
#if defined(__x86_64__)
  static const bool has = CPUFeatures::host().has("avx2");
  return has;
#else
  return false;
#endif
}

template <typename T>
void transposeElements(StridedRows target, ConstStridedRows source, int64_t rows, int64_t columns) {
  if (rows == 1) {
    transposeEdge<T>(target, source, 0, 1, 0, columns);
    return;
  }
  constexpr int64_t size = sizeof(T);
  constexpr int64_t tileRows = size == 4 ? 8 : 16, tileColumns = size == 1 ? 32 : 16 / size;
  int64_t wholeRows = 0, wholeColumns = 0;
  if (hasAVX2()) {
    wholeRows = rows / tileRows * tileRows;
    wholeColumns = columns / tileColumns * tileColumns;
  }
#if defined(__x86_64__)
  for (int64_t c = 0; c < wholeColumns; c += tileColumns)
    for (int64_t r = 0; r < wholeRows; r += tileRows)
      transposeTileAVX2({target.data + c * target.stride + r * size, target.stride},
                        {source.data + r * source.stride + c * size, source.stride}, size);
#endif
  if (wholeColumns < columns && wholeRows > 0)
    transposeBaseline<T>({target.data + wholeColumns * target.stride, target.stride},
                         {source.data + wholeColumns * size, source.stride}, wholeRows,
                         columns - wholeColumns);
  if (wholeRows < rows)
    transposeBaseline<T>({target.data + wholeRows * size, target.stride},
                         {source.data + wholeRows * source.stride, source.stride}, rows - wholeRows,
                         columns);
}

} // namespace

void transpose(StridedRows target, ConstStridedRows source, int64_t rows, int64_t columns,
               int64_t elementSize) {
  if (elementSize == 1)
    transposeElements<uint8_t>(target, source, rows, columns);
  else if (elementSize == 2)
    transposeElements<uint16_t>(target, source, rows, columns);
  else
    transposeElements<uint32_t>(target, source, rows, columns);
}

void interleavePairs(uint8_t *target, const uint8_t *even, const uint8_t *odd, int64_t count) {
  using Indices = std::make_index_sequence<8>;
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    Vector<uint16_t> a, b;
    std::memcpy(&a, even + 2 * i, 16);
    std::memcpy(&b, odd + 2 * i, 16);
    Vector<uint16_t> both[2] = {interleave<0>(a, b, Indices()), interleave<4>(a, b, Indices())};
    std::memcpy(target + 4 * i, both, sizeof(both));
  }
  for (; i < count; ++i) {
    std::memcpy(target + 4 * i, even + 2 * i, 2);
    std::memcpy(target + 4 * i + 2, odd + 2 * i, 2);
  }
}

} // namespace llmir
