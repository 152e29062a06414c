// Turns pairs of channels by the angles of their positions.

#include "Rotation.h"

#include <cmath>

using namespace mlir;
using namespace mlir::llm;

void llm::rotate(TensorValue &heads, ArrayRef<int64_t> positions, const Rotation &rotation) {
  int64_t pairs = rotation.rotaryDim / 2;
  double magnitude = rotation.scaling ? rotation.scaling.getMagnitude() : 1;
  for (int64_t start = 0; start < heads.size(); start += heads.dim(2)) {
    auto position =
        static_cast<double>(positions[static_cast<size_t>(start / (heads.dim(1) * heads.dim(2)))]);
    for (int64_t pair = 0; pair < pairs; ++pair) {
      double exponent = -2.0 * static_cast<double>(pair) / static_cast<double>(rotation.rotaryDim);
      double frequency =
          rotation.scaling ? rotation.scaling.getFrequency(rotation.theta, rotation.rotaryDim, pair)
                           : std::pow(rotation.theta, exponent);
      double angle = position * frequency / (rotation.factors ? rotation.factors->real(pair) : 1);
      int64_t first = start + (rotation.isInterleaved ? 2 * pair : pair);
      int64_t second = rotation.isInterleaved ? first + 1 : first + pairs;
      double a = heads.real(first), b = heads.real(second);
      double cosine = std::cos(angle) * magnitude, sine = std::sin(angle) * magnitude;
      heads.setReal(first, a * cosine - b * sine);
      heads.setReal(second, a * sine + b * cosine);
    }
  }
}
