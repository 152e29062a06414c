// Carrying and merging states of softmax: see SoftmaxState.h.

#include "SoftmaxState.h"

namespace mlir::llm {

SoftmaxState SoftmaxState::empty(KernelBuilder &b, int64_t rows, int64_t channels) {
  SoftmaxState state;
  state.maxima.assign(static_cast<size_t>(rows), b.f32(kNoScore));
  state.totals.assign(static_cast<size_t>(rows), b.f32(0.0));
  state.sums.assign(static_cast<size_t>(rows * channels), b.f32(0.0));
  return state;
}

SmallVector<Value> SoftmaxState::flatten() const {
  SmallVector<Value> values(maxima);
  values.append(totals);
  values.append(sums);
  return values;
}

SoftmaxState SoftmaxState::unflatten(ValueRange values, int64_t rows) {
  auto count = static_cast<size_t>(rows);
  SoftmaxState state;
  llvm::append_range(state.maxima, values.take_front(count));
  llvm::append_range(state.totals, values.slice(count, count));
  llvm::append_range(state.sums, values.drop_front(2 * count));
  return state;
}

SoftmaxState SoftmaxState::merge(GPUKernelBuilder &b, const SoftmaxState &next) const {
  SoftmaxState merged;
  size_t perRow = sums.size() / maxima.size();
  for (size_t row = 0; row < maxima.size(); ++row) {
    Value largest = b.maximum(maxima[row], next.maxima[row]);
    Value before = b.exp2(b.sub(maxima[row], largest));
    Value after = b.exp2(b.sub(next.maxima[row], largest));
    merged.maxima.push_back(largest);
    merged.totals.push_back(b.fma(totals[row], before, b.mul(next.totals[row], after)));
    for (size_t i = row * perRow; i < (row + 1) * perRow; ++i)
      merged.sums.push_back(b.fma(sums[i], before, b.mul(next.sums[i], after)));
  }
  return merged;
}

} // namespace mlir::llm
