// StepArguments: what each argument of a model's step is, from the order that every step has
// (DESIGN: context, tokens, positions, cumulative lengths, context lengths, per cache: cache,
// slots, table; a tree mask, if any; rows).

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_STEPARGUMENTS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_STEPARGUMENTS_H

#include "StepPlan.h"

#include <optional>

namespace mlir::llm {

class StepArguments {
public:
  /// The arguments of `step`, or a diagnostic on it when they are not a step's.
  static FailureOr<StepArguments> bind(func::FuncOp step);

  /// What an argument holds; none for a cache, the context and every other value.
  std::optional<InputOperand> find(Value value) const;
  /// The caches, in order.
  ArrayRef<Value> caches() const { return cacheArguments; }

private:
  DenseMap<Value, InputOperand> inputs;
  SmallVector<Value> cacheArguments;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_STEPARGUMENTS_H
