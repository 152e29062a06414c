// Draws the progress line with a carriage return and the escape that clears a line.

#include "ProgressLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"
#include <unistd.h>

using namespace mlir::llm;

ProgressLine::ProgressLine(bool wanted) : enabled(wanted && ::isatty(STDERR_FILENO)) {}

void ProgressLine::show(llvm::StringRef step, int64_t done, int64_t total) {
  auto now = std::chrono::steady_clock::now();
  if (!enabled || (step == lastStep && now - lastTime < std::chrono::milliseconds(50)))
    return;
  lastStep = step.str();
  lastTime = now;
  llvm::errs() << "\r\033[K"
               << llvm::format("%5.1f s  ", std::chrono::duration<double>(now - start).count())
               << step;
  if (total > 0)
    llvm::errs() << llvm::format("  %3d %%", static_cast<int>(100 * done / total));
  llvm::errs().flush();
  shown = true;
}

void ProgressLine::clear() {
  if (shown)
    llvm::errs() << "\r\033[K";
  shown = false;
}
