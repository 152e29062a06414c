// Plain POSIX writes and signal handlers.

#include "llmir/CommandLine/Terminal.h"

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <unistd.h>

namespace llmir {

static volatile std::sig_atomic_t interrupted = 0;
static struct sigaction previousInterrupt;
static struct sigaction previousPipe;

static void noteInterrupt(int) { interrupted = 1; }

SignalScope::SignalScope() {
  interrupted = 0;
  struct sigaction action = {};
  sigemptyset(&action.sa_mask);
  action.sa_handler = noteInterrupt;
  action.sa_flags = static_cast<int>(SA_RESETHAND);
  sigaction(SIGINT, &action, &previousInterrupt);
  action.sa_handler = SIG_IGN;
  action.sa_flags = 0;
  sigaction(SIGPIPE, &action, &previousPipe);
}

SignalScope::~SignalScope() {
  sigaction(SIGINT, &previousInterrupt, nullptr);
  sigaction(SIGPIPE, &previousPipe, nullptr);
}

bool SignalScope::wasInterrupted() { return interrupted != 0; }

Status OutputStream::write(std::string_view text) {
  while (!text.empty() && !isClosed_) {
    ssize_t written = ::write(descriptor_, text.data(), text.size());
    if (written >= 0) {
      text.remove_prefix(static_cast<size_t>(written));
    } else if (errno == EPIPE) {
      isClosed_ = true;
    } else if (errno == ENOSPC) {
      return resourceExhausted("cannot write the output: no space left");
    } else if (errno != EINTR) {
      return internalError(std::string("cannot write the output: ") + std::strerror(errno));
    }
  }
  return Status::ok();
}

int reportError(const Status &status, std::string_view program) {
  std::fprintf(stderr, "%.*s: error: %s\n", static_cast<int>(program.size()), program.data(),
               status.message().c_str());
  return ExitFailure;
}

} // namespace llmir
