// The naive embedding, norm, matrix product, activation and rotary embedding.

#include "llmir/Reference/TransformerKernels.h"

#include <algorithm>
#include <cmath>

namespace llmir::reference {

Matrix embedding(std::span<const int32_t> tokens, const Matrix &table) {
  Matrix output(static_cast<int64_t>(tokens.size()), table.cols());
  for (int64_t t = 0; t < output.rows(); ++t)
    std::ranges::copy(table.row(tokens[t]), output.row(t).begin());
  return output;
}

Matrix rmsNorm(const Matrix &input, std::span<const double> weight, double epsilon) {
  Matrix output(input.rows(), input.cols());
  for (int64_t t = 0; t < input.rows(); ++t) {
    double squares = 0.0;
    for (double value : input.row(t))
      squares += value * value;
    double scale = 1.0 / std::sqrt(squares / static_cast<double>(input.cols()) + epsilon);
    for (int64_t i = 0; i < input.cols(); ++i)
      output.at(t, i) = input.at(t, i) * scale * weight[i];
  }
  return output;
}

Matrix linear(const Matrix &input, const Matrix &weight) {
  Matrix output(input.rows(), weight.rows());
  for (int64_t t = 0; t < input.rows(); ++t)
    for (int64_t row = 0; row < weight.rows(); ++row) {
      double sum = 0.0;
      for (int64_t k = 0; k < weight.cols(); ++k)
        sum += input.at(t, k) * weight.at(row, k);
      output.at(t, row) = sum;
    }
  return output;
}

Matrix add(const Matrix &a, const Matrix &b) {
  Matrix output(a.rows(), a.cols());
  for (int64_t t = 0; t < a.rows(); ++t)
    for (int64_t i = 0; i < a.cols(); ++i)
      output.at(t, i) = a.at(t, i) + b.at(t, i);
  return output;
}

Matrix swiglu(const Matrix &gate, const Matrix &up) {
  Matrix output(gate.rows(), gate.cols());
  for (int64_t t = 0; t < gate.rows(); ++t)
    for (int64_t i = 0; i < gate.cols(); ++i)
      output.at(t, i) = gate.at(t, i) / (1.0 + std::exp(-gate.at(t, i))) * up.at(t, i);
  return output;
}

Matrix rope(const Matrix &input, std::span<const int32_t> positions,
            const RopeParameters &parameters) {
  Matrix output = input;
  int64_t pairs = parameters.rotaryDim / 2;
  bool isInterleaved = parameters.style == RopeStyle::Interleaved;
  for (int64_t t = 0; t < input.rows(); ++t) {
    for (int64_t head = 0; head < input.cols(); head += parameters.headDim) {
      for (int64_t i = 0; i < pairs; ++i) {
        double exponent = -2.0 * static_cast<double>(i) / static_cast<double>(parameters.rotaryDim);
        double angle = positions[t] * std::pow(parameters.theta, exponent);
        if (!parameters.frequencyFactors.empty())
          angle /= parameters.frequencyFactors[i];
        int64_t first = head + (isInterleaved ? 2 * i : i);
        int64_t second = isInterleaved ? first + 1 : first + pairs;
        double a = input.at(t, first), b = input.at(t, second);
        output.at(t, first) = a * std::cos(angle) - b * std::sin(angle);
        output.at(t, second) = a * std::sin(angle) + b * std::cos(angle);
      }
    }
  }
  return output;
}

} // namespace llmir::reference
