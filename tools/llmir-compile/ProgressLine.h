// ProgressLine: one line on a terminal that is rewritten as the work goes on, and then removed.

#ifndef LLMIR_TOOLS_LLMIR_COMPILE_PROGRESSLINE_H
#define LLMIR_TOOLS_LLMIR_COMPILE_PROGRESSLINE_H

#include "llvm/ADT/StringRef.h"
#include <chrono>
#include <cstdint>
#include <string>

namespace mlir::llm {

/// Writes to standard error, and only when that is a terminal and progress is wanted.
class ProgressLine {
public:
  explicit ProgressLine(bool wanted);
  ProgressLine(const ProgressLine &) = delete;
  ProgressLine &operator=(const ProgressLine &) = delete;
  ~ProgressLine() { clear(); }

  /// Shows `step` and, when `total` is known, the share done; at most some times a second.
  void show(llvm::StringRef step, int64_t done, int64_t total);
  /// Removes the line, so that something else can be printed.
  void clear();

private:
  bool enabled;
  bool shown = false;
  std::string lastStep;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
  std::chrono::steady_clock::time_point lastTime = {};
};

} // namespace mlir::llm

#endif // LLMIR_TOOLS_LLMIR_COMPILE_PROGRESSLINE_H
