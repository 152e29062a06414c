// InterruptGuard: while it lives, an interrupt (SIGINT, SIGTERM, SIGHUP) is noted instead of ending
// the process, so that whoever has unfinished files can remove them and return an error.

#ifndef LLMIR_COMPILER_INTERRUPTGUARD_H
#define LLMIR_COMPILER_INTERRUPTGUARD_H

#include "llmir/Base/Status.h"
#include <csignal>

namespace mlir::llm {

/// One at a time in a process; restores the handlers that it found. Signals that were ignored
/// before stay ignored.
class InterruptGuard {
public:
  InterruptGuard();
  InterruptGuard(const InterruptGuard &) = delete;
  InterruptGuard &operator=(const InterruptGuard &) = delete;
  ~InterruptGuard();

  /// The signal that came while a guard lived, or 0.
  static int signalReceived();
  /// FailedPrecondition (`interrupted by signal 2`) once a signal came. Call it between pieces of
  /// work.
  static ::llmir::Status check();

private:
  static constexpr int signals[] = {SIGINT, SIGTERM, SIGHUP};
  struct sigaction previous[3] = {};
};

} // namespace mlir::llm

#endif // LLMIR_COMPILER_INTERRUPTGUARD_H
