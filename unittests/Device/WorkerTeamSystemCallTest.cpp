// A region makes no system call but futex: a child process forbids all others to all of its
// threads, runs regions with barriers, and would be killed by any other call.

#include "llmir/Device/WorkerTeam.h"

#include "../Support/SystemCallFilter.h"

#include <gtest/gtest.h>

#include <atomic>

using namespace llmir;
using namespace llmir::testing;

namespace {

enum ExitCode { Passed = 0, WrongResult = 1, NoSeccomp = 77, NoTeam = 78 };

int runRegions(int32_t workers) {
  auto team = WorkerTeam::create({.workers = workers});
  if (!team)
    return NoTeam;
  std::atomic<int64_t> count{0};
  auto region = [&](int32_t worker) {
    for (int i = 0; i < 200; ++i) {
      (*team)->barrier(worker);
      count.fetch_add(1, std::memory_order_relaxed);
    }
  };
  // Once before, so that every thread has finished starting.
  (*team)->run(region);
  if (!forbidSystemCalls(AllowedCalls::Futex))
    return NoSeccomp;
  for (int i = 0; i < 10; ++i)
    (*team)->run(region);
  // Not by returning: stopping the team takes more calls.
  _exit(count.load() == int64_t(workers) * 200 * 11 ? Passed : WrongResult);
}

} // namespace

TEST(WorkerTeamSystemCallTest, RegionsCallNothingButFutex) {
  if (kHasSanitizer)
    GTEST_SKIP() << "sanitizers make system calls of their own";
  for (int32_t workers : {1, 2, 4}) {
    ChildEnd end = runInChild([&] { return runRegions(workers); });
    if (end.exitCode == NoSeccomp)
      GTEST_SKIP() << "this kernel has no seccomp filters";
    EXPECT_EQ(end.exitCode, Passed) << workers << " workers: " << end.describe();
  }
}

TEST(WorkerTeamSystemCallTest, TheFilterKills) {
  if (kHasSanitizer)
    GTEST_SKIP() << "sanitizers make system calls of their own";
  for (AllowedCalls allowed : {AllowedCalls::Futex, AllowedCalls::None}) {
    ChildEnd end = runInChild([&] {
      if (!forbidSystemCalls(allowed))
        return NoSeccomp;
      return syscall(SYS_getppid) > 0 ? Passed : WrongResult;
    });
    if (end.exitCode == NoSeccomp)
      GTEST_SKIP() << "this kernel has no seccomp filters";
    EXPECT_EQ(end.signal, SIGSYS) << end.describe();
  }
}
