// The arguments of a step: see StepArguments.h.

#include "StepArguments.h"

#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "mlir/IR/TypeUtilities.h"

namespace mlir::llm {

FailureOr<StepArguments> StepArguments::bind(func::FuncOp step) {
  ArrayRef<BlockArgument> arguments = step.getArguments();
  constexpr StepInput leading[] = {StepInput::Tokens, StepInput::Positions, StepInput::CuLengths,
                                   StepInput::ContextLengths};
  size_t next = 1 + std::size(leading);
  if (arguments.size() <= next || !isa<StepContextType>(arguments[0].getType()))
    return step.emitError("expected a step's arguments (context, tokens, positions, cumulative "
                          "lengths, context lengths, per cache: cache, slots, table; a tree mask, "
                          "if any; rows), but got ")
           << arguments.size() << " arguments";
  StepArguments bound;
  for (auto [index, input] : llvm::enumerate(leading))
    bound.inputs[arguments[index + 1]] = InputOperand{input, 0, {}};
  int64_t cache = 0;
  for (; next + 2 < arguments.size() && isa<PagedKVCacheType>(arguments[next].getType());
       next += 3, ++cache) {
    bound.cacheArguments.push_back(arguments[next]);
    bound.inputs[arguments[next + 1]] = InputOperand{StepInput::Slots, cache, {}};
    bound.inputs[arguments[next + 2]] = InputOperand{StepInput::Table, cache, {}};
  }
  if (next + 1 < arguments.size() && getElementTypeOrSelf(arguments[next].getType()).isInteger(64))
    bound.inputs[arguments[next++]] = InputOperand{StepInput::TreeMask, 0, {}};
  if (next + 1 != arguments.size())
    return step.emitError("expected the rows of logits as the step's last argument ")
           << next << ", but it has " << arguments.size() << " arguments";
  bound.inputs[arguments[next]] = InputOperand{StepInput::Rows, 0, {}};
  return bound;
}

std::optional<InputOperand> StepArguments::find(Value value) const {
  auto found = inputs.find(value);
  return found == inputs.end() ? std::nullopt : std::optional(found->second);
}

} // namespace mlir::llm
