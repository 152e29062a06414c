// A region makes no system call but futex: a child process forbids all others to all of its
// threads (seccomp), runs regions with barriers, and would be killed by any other call.

#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstddef>
#include <iterator>

using namespace llmir;

namespace {

enum ExitCode { Passed = 0, WrongResult = 1, NoSeccomp = 77, NoTeam = 78 };

/// Leaves futex and exiting to all threads of this process. False when the kernel refuses.
bool forbidOtherSystemCalls() {
  constexpr unsigned load = BPF_LD | BPF_W | BPF_ABS, equal = BPF_JMP | BPF_JEQ | BPF_K,
                     answer = BPF_RET | BPF_K;
  sock_filter filter[] = {
      BPF_STMT(load, offsetof(seccomp_data, nr)), BPF_JUMP(equal, SYS_futex, 2, 0),
      BPF_JUMP(equal, SYS_exit_group, 1, 0),      BPF_STMT(answer, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(answer, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

[[noreturn]] void runChild(int32_t workers) {
  auto team = WorkerTeam::create({.workers = workers});
  if (!team)
    _exit(NoTeam);
  std::atomic<int64_t> count{0};
  auto region = [&](int32_t worker) {
    for (int i = 0; i < 200; ++i) {
      (*team)->barrier(worker);
      count.fetch_add(1, std::memory_order_relaxed);
    }
  };
  // Once before, so that every thread has finished starting.
  (*team)->run(region);
  if (!forbidOtherSystemCalls())
    _exit(NoSeccomp);
  for (int i = 0; i < 10; ++i)
    (*team)->run(region);
  _exit(count.load() == int64_t(workers) * 200 * 11 ? Passed : WrongResult);
}

} // namespace

TEST(WorkerTeamSystemCallTest, RegionsCallNothingButFutex) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers make system calls of their own";
#endif
  for (int32_t workers : {1, 2, 4}) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
      runChild(workers);
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NoSeccomp)
      GTEST_SKIP() << "this kernel has no seccomp filters";
    ASSERT_TRUE(WIFEXITED(status)) << workers << " workers: killed by signal " << WTERMSIG(status);
    EXPECT_EQ(WEXITSTATUS(status), Passed) << workers << " workers";
  }
}
