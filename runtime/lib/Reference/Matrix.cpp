// Matrices for the naive kernels, and an independent decoding of GGUF blocks into them.

#include "llmir/Reference/Matrix.h"

#include "llmir/Base/Float16.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <cmath>
#include <utility>

namespace llmir::reference {

Matrix::Matrix(int64_t rows, int64_t cols, std::span<const float> values)
    : rows_(rows), cols_(cols), values_(values.begin(), values.end()) {
  assert(static_cast<int64_t>(values_.size()) == rows * cols && "expected rows * cols values");
}

Matrix::Matrix(int64_t rows, int64_t cols, std::vector<double> values)
    : rows_(rows), cols_(cols), values_(std::move(values)) {
  assert(static_cast<int64_t>(values_.size()) == rows * cols && "expected rows * cols values");
}

static uint16_t readU16(std::span<const uint8_t> bytes, int64_t offset) {
  return static_cast<uint16_t>(bytes[offset] | bytes[offset + 1] << 8);
}

static double readF32(std::span<const uint8_t> bytes, int64_t offset) {
  uint32_t low = readU16(bytes, offset);
  uint32_t high = readU16(bytes, offset + 2);
  return std::bit_cast<float>(low | high << 16);
}

/// Element `k` of the block of 32 that starts at `block`.
static double decodeQuantized(GGUFType type, std::span<const uint8_t> bytes, int64_t block,
                              int64_t k) {
  double scale = halfToFloat(readU16(bytes, block));
  if (type == GGUFType::Q8_0)
    return scale * static_cast<int8_t>(bytes[block + 2 + k]);
  int64_t codes = block + (type == GGUFType::Q4_1 ? 4 : 2);
  uint8_t pair = bytes[codes + k % 16];
  int code = k < 16 ? pair & 15 : pair >> 4;
  if (type == GGUFType::Q4_0)
    return scale * (code - 8);
  return scale * code + halfToFloat(readU16(bytes, block + 2));
}

static double decodeElement(GGUFType type, std::span<const uint8_t> bytes, int64_t index) {
  switch (type) {
  case GGUFType::F32:
    return readF32(bytes, 4 * index);
  case GGUFType::F16:
    return halfToFloat(readU16(bytes, 2 * index));
  case GGUFType::BF16:
    return bfloat16ToFloat(readU16(bytes, 2 * index));
  case GGUFType::Q8_0:
    return decodeQuantized(type, bytes, index / 32 * 34, index % 32);
  case GGUFType::Q4_0:
    return decodeQuantized(type, bytes, index / 32 * 18, index % 32);
  case GGUFType::Q4_1:
    return decodeQuantized(type, bytes, index / 32 * 20, index % 32);
  default:
    assert(false && "expected a type that the reference decodes");
    return 0.0;
  }
}

Matrix decodeGGUF(GGUFType type, std::span<const uint8_t> bytes, int64_t rows, int64_t cols) {
  Matrix matrix(rows, cols);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col)
      matrix.at(row, col) = decodeElement(type, bytes, row * cols + col);
  return matrix;
}

Matrix roundToInt8(const Matrix &input, int64_t groupSize) {
  Matrix output(input.rows(), input.cols());
  for (int64_t row = 0; row < input.rows(); ++row) {
    for (int64_t begin = 0; begin < input.cols(); begin += groupSize) {
      int64_t end = std::min(begin + groupSize, input.cols());
      double largest = 0.0;
      for (int64_t col = begin; col < end; ++col)
        largest = std::max(largest, std::abs(input.at(row, col)));
      double scale = largest / 127.0;
      for (int64_t col = begin; col < end; ++col)
        output.at(row, col) =
            scale == 0.0 ? 0.0 : std::nearbyint(input.at(row, col) / scale) * scale;
    }
  }
  return output;
}

double largestDifference(const Matrix &a, const Matrix &b) {
  assert(a.rows() == b.rows() && a.cols() == b.cols() && "expected equal shapes");
  double largest = 0.0;
  for (size_t i = 0; i < a.values().size(); ++i) {
    double difference = std::abs(a.values()[i] - b.values()[i]);
    if (std::isnan(difference))
      return difference;
    largest = std::max(largest, difference);
  }
  return largest;
}

} // namespace llmir::reference
