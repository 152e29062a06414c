// Notes signals in one lock-free variable, which is all that a handler may do.

#include "llmir/Compiler/InterruptGuard.h"
#include <atomic>
#include <string>

using namespace mlir::llm;

static std::atomic<int> receivedSignal{0};
static_assert(std::atomic<int>::is_always_lock_free, "a signal handler must not lock");

static void noteSignal(int signal) { receivedSignal.store(signal); }

InterruptGuard::InterruptGuard() {
  receivedSignal.store(0);
  struct sigaction action = {};
  action.sa_handler = noteSignal;
  sigemptyset(&action.sa_mask);
  for (size_t index = 0; index < std::size(signals); ++index) {
    sigaction(signals[index], &action, &previous[index]);
    if (previous[index].sa_handler == SIG_IGN)
      sigaction(signals[index], &previous[index], nullptr);
  }
}

InterruptGuard::~InterruptGuard() {
  for (size_t index = 0; index < std::size(signals); ++index)
    sigaction(signals[index], &previous[index], nullptr);
}

int InterruptGuard::signalReceived() { return receivedSignal.load(); }

::llmir::Status InterruptGuard::check() {
  if (int signal = signalReceived())
    return ::llmir::failedPrecondition("interrupted by signal " + std::to_string(signal));
  return ::llmir::Status::ok();
}
