// A dense matrix of doubles, and the making of one from the bytes of a GGUF tensor or of a paged KV
// cache's elements. The data type of the naive kernels that tests compare with; not for use in a
// product.

#ifndef LLMIR_REFERENCE_MATRIX_H
#define LLMIR_REFERENCE_MATRIX_H

#include "llmir/ModelFiles/GGUFTypes.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llmir::reference {

/// `rows` x `cols` doubles, row after row.
class Matrix {
public:
  Matrix() = default;
  Matrix(int64_t rows, int64_t cols)
      : rows_(rows), cols_(cols), values_(static_cast<size_t>(rows * cols)) {}
  /// A copy of rows * cols numbers.
  Matrix(int64_t rows, int64_t cols, std::span<const float> values);
  Matrix(int64_t rows, int64_t cols, std::vector<double> values);

  int64_t rows() const { return rows_; }
  int64_t cols() const { return cols_; }
  double &at(int64_t row, int64_t col) { return values_[static_cast<size_t>(row * cols_ + col)]; }
  double at(int64_t row, int64_t col) const {
    return values_[static_cast<size_t>(row * cols_ + col)];
  }
  std::span<double> row(int64_t row) {
    return std::span(values_).subspan(static_cast<size_t>(row * cols_), static_cast<size_t>(cols_));
  }
  std::span<const double> row(int64_t row) const {
    return std::span(values_).subspan(static_cast<size_t>(row * cols_), static_cast<size_t>(cols_));
  }
  std::span<const double> values() const { return values_; }

private:
  int64_t rows_ = 0;
  int64_t cols_ = 0;
  std::vector<double> values_;
};

/// The weights that a GGUF tensor of `rows` x `cols` (output x input features) stores: f32, f16,
/// bf16, q8_0, q4_0 or q4_1, decoded here independently of ModelFiles. The caller has checked that
/// `bytes` holds the whole tensor.
Matrix decodeGGUF(GGUFType type, std::span<const uint8_t> bytes, int64_t rows, int64_t cols);

/// Rounds each value to what int8 activations keep of it: for each group of `groupSize` columns of
/// a row, scale = (largest magnitude) / 127 and round(value / scale) * scale.
Matrix roundToInt8(const Matrix &input, int64_t groupSize);

/// The largest |a - b| of two matrices of the same shape.
double largestDifference(const Matrix &a, const Matrix &b);

} // namespace llmir::reference

#endif // LLMIR_REFERENCE_MATRIX_H
