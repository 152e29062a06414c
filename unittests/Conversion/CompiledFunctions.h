// What a program needs to call compiled functions: memref descriptors, tensors of 16-bit types from
// and to doubles, and the cache as the naive kernels see it.

#ifndef LLMIR_UNITTESTS_CONVERSION_COMPILEDFUNCTIONS_H
#define LLMIR_UNITTESTS_CONVERSION_COMPILEDFUNCTIONS_H

#include "llmir/Base/Float16.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Reference/AttentionKernels.h"

#include <array>
#include <cstdlib>
#include <cstring>
#include <random>
#include <vector>

namespace llmir::testing {

/// MLIR's descriptor of a memref of `Rank` dimensions, as functions with a C interface take it.
template <int Rank> struct MemRef {
  void *allocated = nullptr;
  void *aligned = nullptr;
  int64_t offset = 0;
  std::array<int64_t, Rank> sizes{};
  std::array<int64_t, Rank> strides{};

  int64_t elements() const {
    int64_t count = 1;
    for (int64_t size : sizes)
      count *= size;
    return count;
  }
};

/// A dense memref over `data`, which stays the caller's.
template <int Rank> MemRef<Rank> describe(const void *data, std::array<int64_t, Rank> sizes) {
  MemRef<Rank> memref;
  memref.allocated = memref.aligned = const_cast<void *>(data);
  memref.sizes = sizes;
  int64_t stride = 1;
  for (int i = Rank - 1; i >= 0; --i) {
    memref.strides[i] = stride;
    stride *= sizes[i];
  }
  return memref;
}

inline MemRef<1> describe(const std::vector<int32_t> &numbers) {
  return describe<1>(numbers.data(), {static_cast<int64_t>(numbers.size())});
}

/// The bytes of a tensor whose elements are of `type`.
class TensorBytes {
public:
  TensorBytes(ElementType type, int64_t elements)
      : type(type), size(llmir_element_size(static_cast<uint32_t>(type))),
        bytes(static_cast<size_t>(elements * size)) {}
  /// Takes over the buffer of a result and frees it.
  template <int Rank>
  TensorBytes(ElementType type, const MemRef<Rank> &result) : TensorBytes(type, result.elements()) {
    if (!bytes.empty())
      std::memcpy(bytes.data(), static_cast<uint8_t *>(result.aligned) + result.offset * size,
                  bytes.size());
    std::free(result.allocated);
  }

  void set(int64_t index, double value) {
    auto number = static_cast<float>(value);
    uint16_t half = type == ElementType::BF16 ? floatToBFloat16(number) : floatToHalf(number);
    if (type == ElementType::F32)
      std::memcpy(bytes.data() + index * 4, &number, 4);
    else
      std::memcpy(bytes.data() + index * 2, &half, 2);
  }
  double at(int64_t index) const {
    float number;
    uint16_t half;
    if (type == ElementType::F32) {
      std::memcpy(&number, bytes.data() + index * 4, 4);
      return number;
    }
    std::memcpy(&half, bytes.data() + index * 2, 2);
    return type == ElementType::BF16 ? bfloat16ToFloat(half) : halfToFloat(half);
  }
  const uint8_t *data() const { return bytes.data(); }
  uint8_t *writable() { return bytes.data(); }
  int64_t elementSize() const { return size; }
  /// The bytes of the elements from `first`.
  std::vector<uint8_t> slice(int64_t first, int64_t count) const {
    auto from = bytes.begin() + first * size;
    return {from, from + count * size};
  }
  /// The elements as rows of `cols`.
  reference::Matrix toMatrix(int64_t cols) const {
    auto rows = static_cast<int64_t>(bytes.size()) / size / cols;
    reference::Matrix matrix(rows, cols);
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t col = 0; col < cols; ++col)
        matrix.at(row, col) = at(row * cols + col);
    return matrix;
  }

private:
  ElementType type;
  int64_t size;
  std::vector<uint8_t> bytes;
};

/// Numbers of a normal distribution, rounded to `type`.
inline TensorBytes randomTensor(ElementType type, int64_t elements, std::mt19937 &random) {
  std::normal_distribution<double> normal;
  TensorBytes tensor(type, elements);
  for (int64_t i = 0; i < elements; ++i)
    tensor.set(i, normal(random));
  return tensor;
}

/// A copy of the bytes of all blocks.
inline std::vector<uint8_t> poolBytes(const PagedKVCache &cache) {
  return {cache.base(), cache.base() + cache.sizeInBytes()};
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_CONVERSION_COMPILEDFUNCTIONS_H
