// What passes count, and how a driver gets at it. MLIR's own Pass::Statistic is compiled out of the
// packaged LLVM libraries, and objects of that class may not even be laid out as they expect; so
// this project's passes count with CountingPass, and its drivers collect with PassStatistics.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_PASSSTATISTICS_H
#define LLMIR_DIALECT_LLM_TRANSFORMS_PASSSTATISTICS_H

#include "mlir/Pass/PassInstrumentation.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace mlir::llm {

/// The base of passes that count something; beside the base class that TableGen generates.
class CountingPass {
public:
  virtual ~CountingPass() = default;
  /// What was counted since the last call, by name.
  llvm::MapVector<StringRef, int64_t> takeCounts() { return std::exchange(counts, {}); }

protected:
  CountingPass() = default;
  /// A copy of a pass counts for itself.
  CountingPass(const CountingPass &) {}
  CountingPass &operator=(const CountingPass &) = delete;

  /// Adds to the count `name`: a literal, in lower case with dashes.
  void count(StringLiteral name, int64_t amount = 1) { counts[name] += amount; }

private:
  llvm::MapVector<StringRef, int64_t> counts;
};

/// Sums of counts over the runs of all passes of a pass manager, in order of first appearance.
class PassStatistics {
public:
  /// The instrumentation that adds to this object, which must outlive the pass manager.
  std::unique_ptr<PassInstrumentation> createInstrumentation();

  /// The sum of the counts `name` of the pass with command-line argument `pass`; 0 when there is
  /// none.
  int64_t get(StringRef pass, StringRef name) const;
  /// Prints a line `pass: sum name` for each.
  void print(raw_ostream &os) const;

  void add(StringRef pass, StringRef name, int64_t amount);

private:
  struct Sum {
    std::string pass;
    std::string name;
    int64_t value;
  };
  std::vector<Sum> sums;
};

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_PASSSTATISTICS_H
