// Rotary embeddings, for the ops that rotate heads.

#ifndef LLMIR_LIB_VALIDATION_ROTATION_H
#define LLMIR_LIB_VALIDATION_ROTATION_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/Interpreter.h"

namespace mlir::llm {

/// How positions turn a head's channels.
struct Rotation {
  double theta = 0;
  int64_t rotaryDim = 0;
  bool isInterleaved = false;
  const TensorValue *factors = nullptr; ///< By which frequencies are divided.
  RopeScalingAttr scaling;
};

/// The rotation that an op describes.
template <typename Op> Rotation getRotation(Op op, Interpreter &in) {
  return {op.getTheta().convertToDouble(), op.getRotaryDim(),
          op.getStyle() == RopeStyle::Interleaved,
          op.getFrequencyFactorsAttr() ? &in.weight(op, op.getFrequencyFactorsAttr()) : nullptr,
          op.getScalingAttr()};
}

/// Rotates heads, [tokens, heads, head size], of which token t is at positions[t].
void rotate(TensorValue &heads, ArrayRef<int64_t> positions, const Rotation &rotation);

} // namespace mlir::llm

#endif // LLMIR_LIB_VALIDATION_ROTATION_H
