// Numbers for the weights of a module that has no checkpoint: decided by the name of the checkpoint
// tensor, the row and the column, so that passes which fuse, divide or round weights see the same
// tensors before and after.

#ifndef LLMIR_VALIDATION_WEIGHTVALUES_H
#define LLMIR_VALIDATION_WEIGHTVALUES_H

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Validation/RuntimeValue.h"

#include <cstdint>

namespace mlir::llm {

/// The numbers of one group of a quantised weight.
struct QuantizedGroup {
  double scale = 0;
  double zero = 0;            ///< A minimum with a float zero point, else a code.
  SmallVector<int64_t> codes; ///< Signed where symmetric, else from 0.
};

/// Rounds numbers to a group of codes, as the type says: the scale from the largest magnitude or,
/// where asymmetric, from the range; scales and float zero points rounded to their types.
QuantizedGroup quantizeGroup(ArrayRef<double> numbers, QuantizedTensorType type);
/// What the codes stand for.
SmallVector<double> dequantizeGroup(const QuantizedGroup &group, QuantizedTensorType type);

/// The numbers of all checkpoint tensors, which a seed decides.
class WeightValues {
public:
  explicit WeightValues(uint64_t seed) : seed(seed) {}

  /// An element of a checkpoint tensor as it is before any rounding: of a vector (columns = 0)
  /// between 0.75 and 1.25, of a matrix so that rows have about length one. Exact in f16.
  double sourceElement(StringRef tensor, int64_t row, int64_t column, int64_t columns) const;
  /// A weight as its type holds it: [rows, columns] or [elements]; sources one after another.
  TensorValue load(WeightOp weight) const;

private:
  uint64_t seed;
};

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_WEIGHTVALUES_H
