// What a run of a function left behind, as named lists of numbers, and how near two of them are.

#ifndef LLMIR_VALIDATION_OUTCOME_H
#define LLMIR_VALIDATION_OUTCOME_H

#include "llmir/Validation/FunctionInputs.h"
#include "llmir/Validation/Interpreter.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::llm {

/// A result, or a side of a layer of a sequence in a cache.
struct NamedNumbers {
  std::string name;
  SmallVector<int64_t> shape;
  bool areIntegers = false;
  std::vector<double> numbers;
};

/// One run.
struct Outcome {
  std::vector<NamedNumbers> items;
};

/// How far floating-point numbers may be apart, as a share of the largest in their list; and how
/// far in the root of mean squares, where a pass changes numbers by design. Integers are equal.
struct Tolerance {
  double share = 1e-6;
  /// How far keys and values move results when a cache stores them (docs/Testing.md, attention's
  /// tolerances), as a root of mean squares: a small change before a store may come out as steps of
  /// its codes.
  double storage = 0;
};

/// By the narrowest type in which the module stores numbers or converts activations
/// (docs/Testing.md has the table).
Tolerance toleranceFor(ModuleOp module);

/// The results and what the caches among the arguments and results hold afterwards: for each
/// sequence its length, and the keys and values of each layer in order of position.
Outcome makeOutcome(func::FuncOp function, const FunctionInputs &inputs,
                    ArrayRef<RuntimeValue> results);

/// What differs first, or std::nullopt: `result 0 at [1, 3] was 0.5, but is 0.25 (...)`.
std::optional<std::string> findDifference(const Outcome &was, const Outcome &is,
                                          const Tolerance &tolerance);

/// The root of the mean squared difference of all floating-point numbers over that of what they
/// were; std::nullopt when the lists do not match.
std::optional<double> relativeDifference(const Outcome &was, const Outcome &is);

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_OUTCOME_H
