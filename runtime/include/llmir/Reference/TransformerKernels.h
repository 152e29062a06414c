// Naive kernels in double precision, one loop nest each, as the definitions of what compiled code
// has to compute. Linked by tests only. Callers pass shapes that agree; nothing here is fast.

#ifndef LLMIR_REFERENCE_TRANSFORMERKERNELS_H
#define LLMIR_REFERENCE_TRANSFORMERKERNELS_H

#include "llmir/Reference/Matrix.h"

#include <cstdint>
#include <span>

namespace llmir::reference {

/// Row tokens[t] of `table` for each t.
Matrix embedding(std::span<const int32_t> tokens, const Matrix &table);

/// Each row times weight / sqrt(mean of its squares + epsilon).
Matrix rmsNorm(const Matrix &input, std::span<const double> weight, double epsilon);

/// input [tokens, in] times the transpose of weight [out, in].
Matrix linear(const Matrix &input, const Matrix &weight);

/// a + b.
Matrix add(const Matrix &a, const Matrix &b);

/// silu(gate) * up.
Matrix swiglu(const Matrix &gate, const Matrix &up);

/// Which channels of a head turn together.
enum class RopeStyle {
  Interleaved, ///< 2i and 2i + 1.
  Half         ///< i and i + rotaryDim / 2.
};

/// How positions turn a head's channels.
struct RopeParameters {
  int64_t headDim = 0;
  int64_t rotaryDim = 0; ///< Even; the channels from here on are kept.
  double theta = 10000.0;
  RopeStyle style = RopeStyle::Interleaved;
  /// Empty, or rotaryDim / 2 numbers by which the frequencies are divided.
  std::span<const double> frequencyFactors = {};
};

/// Turns pair i of every head of input [tokens, heads * headDim] by
/// position * theta^(-2i / rotaryDim).
Matrix rope(const Matrix &input, std::span<const int32_t> positions,
            const RopeParameters &parameters);

} // namespace llmir::reference

#endif // LLMIR_REFERENCE_TRANSFORMERKERNELS_H
