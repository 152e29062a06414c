// Signals are noted while a guard lives, and the old handlers come back after it.

#include "llmir/Compiler/InterruptGuard.h"
#include <gtest/gtest.h>

using namespace mlir::llm;

TEST(InterruptGuardTest, NotesASignalAndRestoresTheHandler) {
  struct sigaction before = {};
  sigaction(SIGTERM, nullptr, &before);
  {
    InterruptGuard guard;
    EXPECT_TRUE(InterruptGuard::check().isOk());
    ::raise(SIGTERM);
    EXPECT_EQ(InterruptGuard::signalReceived(), SIGTERM);
    EXPECT_EQ(InterruptGuard::check().message(), "interrupted by signal 15");
  }
  struct sigaction after = {};
  sigaction(SIGTERM, nullptr, &after);
  EXPECT_EQ(after.sa_handler, before.sa_handler);
  InterruptGuard another;
  EXPECT_TRUE(InterruptGuard::check().isOk()) << "a new guard starts afresh";
}

TEST(InterruptGuardTest, LeavesIgnoredSignalsIgnored) {
  auto previous = ::signal(SIGHUP, SIG_IGN);
  {
    InterruptGuard guard;
    ::raise(SIGHUP);
    EXPECT_TRUE(InterruptGuard::check().isOk());
  }
  ::signal(SIGHUP, previous);
}
