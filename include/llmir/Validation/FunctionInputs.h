// Makes up inputs of a function: a batch of sequences of very different lengths, caches in which
// their blocks lie among each other's, and numbers that agree with both. A seed and the function's
// types decide all of it, so that a function and what a pass made of it get the same.

#ifndef LLMIR_VALIDATION_FUNCTIONINPUTS_H
#define LLMIR_VALIDATION_FUNCTIONINPUTS_H

#include "llmir/Validation/ArgumentRoles.h"
#include "llmir/Validation/CacheState.h"
#include "llmir/Validation/RuntimeValue.h"

#include <string>

namespace mlir::llm {

/// A batch: what each of its sequences has before the step and gets in it.
struct BatchShape {
  struct Sequence {
    int32_t id = 0;
    int64_t past = 0;   ///< Tokens in caches before.
    int64_t tokens = 0; ///< New ones.
    int64_t keys = 0;   ///< Keys that are tensors, at least as many as new tokens.
  };
  SmallVector<Sequence> sequences;
  int64_t numRows = 0;
  int64_t keysEach = 0; ///< Of padded keys.

  int64_t numTokens() const;
  int64_t numKeys() const;
};

/// Inputs of one function.
struct FunctionInputs {
  BatchShape batch;
  SmallVector<RuntimeValue> arguments;
};

/// What inputs depend on beside the seed. Made once of a function, it serves what passes make of
/// the function as long as its arguments have the same types: fewer uses say less about them.
struct InputPlan {
  SmallVector<Type> types; ///< Of the arguments.
  SmallVector<ArgumentRole> roles;
  int64_t numAppends = 0;       ///< Times that the function makes room for a step's tokens.
  bool appendsOneToken = false; ///< Of each sequence, by the form of its appends.
  bool needsKnownSequences = false;

  /// Whether `function` takes what the plan is for.
  bool fits(func::FuncOp function) const {
    return function.getArgumentTypes() == ArrayRef<Type>(types);
  }
};

/// Reads the plan off a function.
InputPlan planInputs(func::FuncOp function);

/// Inputs that fit the plan, or a failure and in `why` what stands in the way.
FailureOr<FunctionInputs> makeFunctionInputs(const InputPlan &plan, uint64_t seed,
                                             std::string &why);
inline FailureOr<FunctionInputs> makeFunctionInputs(func::FuncOp function, uint64_t seed,
                                                    std::string &why) {
  return makeFunctionInputs(planInputs(function), seed, why);
}

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_FUNCTIONINPUTS_H
