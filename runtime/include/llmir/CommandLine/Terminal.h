// Terminal: what a command needs of the process it runs in: a standard output whose reader may go
// away, the user's interrupt, and one form of error messages.

#ifndef LLMIR_COMMANDLINE_TERMINAL_H
#define LLMIR_COMMANDLINE_TERMINAL_H

#include "llmir/Base/Status.h"

#include <string_view>

namespace llmir {

/// Exit codes of the commands.
enum ExitCode : int { ExitSuccess = 0, ExitFailure = 1, ExitUsage = 2, ExitInterrupted = 130 };

/// Writes to a file descriptor at once, without a buffer. A reader that has closed its end is an
/// expected outcome: isClosed() becomes true, and later text is dropped. Does not own the
/// descriptor.
class OutputStream {
public:
  explicit OutputStream(int descriptor) : descriptor_(descriptor) {}

  /// Writes all of `text`. An error other than a closed pipe is a Status.
  Status write(std::string_view text);
  bool isClosed() const { return isClosed_; }

private:
  int descriptor_;
  bool isClosed_ = false;
};

/// While it lives, an interrupt (SIGINT) is noted instead of ending the process, a second one ends
/// it as usual, and a closed pipe is an error of write and no signal. One at a time.
class SignalScope {
public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope &) = delete;
  SignalScope &operator=(const SignalScope &) = delete;

  /// Whether an interrupt has come since the construction.
  static bool wasInterrupted();
};

/// Prints `<program>: error: <message>` to the standard error; returns ExitFailure.
int reportError(const Status &status, std::string_view program = "llmir");

} // namespace llmir

#endif // LLMIR_COMMANDLINE_TERMINAL_H
