// Terminal: a reader that goes away and an interrupt are outcomes, not ends of the process.

#include "llmir/CommandLine/Terminal.h"

#include <csignal>
#include <gtest/gtest.h>
#include <string>
#include <unistd.h>

using namespace llmir;

TEST(TerminalTest, WritesAllOfIt) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  OutputStream stream(ends[1]);
  ASSERT_TRUE(stream.write("some text").isOk());
  char buffer[16] = {};
  EXPECT_EQ(read(ends[0], buffer, sizeof buffer), 9);
  EXPECT_EQ(std::string(buffer), "some text");
  EXPECT_FALSE(stream.isClosed());
  close(ends[0]);
  close(ends[1]);
}

TEST(TerminalTest, AClosedPipeIsNoted) {
  SignalScope signals;
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  OutputStream stream(ends[1]);
  EXPECT_TRUE(stream.write("text").isOk());
  EXPECT_TRUE(stream.isClosed());
  EXPECT_TRUE(stream.write("more").isOk());
  close(ends[1]);
}

TEST(TerminalTest, OtherFailuresAreErrors) {
  EXPECT_FALSE(OutputStream(-1).write("text").isOk());
  EXPECT_TRUE(OutputStream(-1).write("").isOk());
}

TEST(TerminalTest, AnInterruptIsNoted) {
  SignalScope signals;
  EXPECT_FALSE(SignalScope::wasInterrupted());
  std::raise(SIGINT);
  EXPECT_TRUE(SignalScope::wasInterrupted());
}
