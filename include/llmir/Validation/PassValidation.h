// Runs a module's functions before and after each pass, up to bufferisation, and names the first
// pass that changes what they compute. An instrumentation of a pass manager; changes nothing.

#ifndef LLMIR_VALIDATION_PASSVALIDATION_H
#define LLMIR_VALIDATION_PASSVALIDATION_H

#include "llmir/Validation/Outcome.h"
#include "mlir/Pass/PassInstrumentation.h"

#include <map>
#include <memory>
#include <set>
#include <string>

namespace mlir::llm {

/// Collects what the validation of all passes of one or more pass managers found. Not for use by
/// several threads: turn off the context's.
class PassValidation {
public:
  /// Different inputs that each function is run on; they follow from `seed`.
  explicit PassValidation(uint64_t seed = 1, unsigned numInputs = 3)
      : seed(seed), numInputs(numInputs) {}

  /// The instrumentation that reports to this object, which must outlive the pass manager.
  std::unique_ptr<PassInstrumentation> createInstrumentation();

  /// Whether a pass changed a result, or made a function fail.
  bool failed() const { return hasFailed; }
  /// Passes after which results were compared, and comparisons of a function's results.
  int64_t passesChecked() const { return numPasses; }
  int64_t runsCompared() const { return numRuns; }
  /// One line: how much was compared, and where it ended.
  void print(raw_ostream &os) const;

private:
  class Instrumentation;

  /// What the functions of a module give, by name.
  struct Baseline {
    ModuleOp module;
    std::string text; ///< The module as it was when these were computed.
    std::map<std::string, std::vector<Outcome>> outcomes;
    std::map<std::string, InputPlan> plans; ///< Of functions as they were first.
    Tolerance tolerance;
  };

  void before(Pass *pass, ModuleOp module);
  void after(Pass *pass, ModuleOp module);
  /// Runs all functions; what cannot be run is a warning, once for each.
  Baseline evaluate(ModuleOp module, Pass *pass);
  void compare(Pass *pass, const Baseline &was, const Baseline &is);
  bool compareFunction(Pass *pass, func::FuncOp function, const std::vector<Outcome> &was,
                       const std::vector<Outcome> &is, const Baseline &before);
  void warnOnce(Operation *op, const std::string &function, const Twine &message);

  uint64_t seed;
  unsigned numInputs;
  Baseline baseline;
  std::set<std::string> warned;
  std::string stoppedAt;
  bool hasFailed = false;
  int64_t numPasses = 0, numRuns = 0, numByDesign = 0;
};

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_PASSVALIDATION_H
