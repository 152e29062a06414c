// SoftmaxState: what a kernel knows of the softmax of some rows over some keys, as SSA values, and
// how two of them become one.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_SOFTMAXSTATE_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_SOFTMAXSTATE_H

#include "GPUKernelBuilder.h"

namespace mlir::llm {

/// Less than every score; its exp2 is 0.
inline constexpr double kNoScore = -1.0e30;

struct SoftmaxState {
  SmallVector<Value> maxima; ///< Of each row: the largest score, in units of log2.
  SmallVector<Value> totals; ///< Of each row: the sum of weights.
  SmallVector<Value> sums;   ///< Of each row and channel of the thread: weighted values, added up.

  /// The state over no keys.
  static SoftmaxState empty(KernelBuilder &builder, int64_t rows, int64_t channels);

  /// All values in a row, as loops carry them, and back.
  SmallVector<Value> flatten() const;
  static SoftmaxState unflatten(ValueRange values, int64_t rows);

  /// The state over this one's keys and `next`'s, which follow them. With a `next` over no keys
  /// the result is exactly this state.
  SoftmaxState merge(GPUKernelBuilder &builder, const SoftmaxState &next) const;

  Value sumOf(size_t row, size_t channel) const {
    return sums[row * (sums.size() / maxima.size()) + channel];
  }
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_SOFTMAXSTATE_H
