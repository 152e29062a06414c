// For tests that say which system calls a piece of code makes: a child process takes all others
// from itself (seccomp) and is killed by the first of them.

#ifndef LLMIR_UNITTESTS_SUPPORT_SYSTEMCALLFILTER_H
#define LLMIR_UNITTESTS_SUPPORT_SYSTEMCALLFILTER_H

#include <gtest/gtest.h>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <iterator>
#include <string>
#include <utility>

namespace llmir::testing {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
/// Whether this program has a sanitizer that allocates and makes system calls of its own.
inline constexpr bool kHasSanitizer = true;
#else
inline constexpr bool kHasSanitizer = false;
#endif

/// What a filtered process may call beside exit_group.
enum class AllowedCalls { Futex, None };

/// Takes all system calls but the allowed ones from all threads of this process; another kills it
/// with SIGSYS. Final. False when the kernel refuses.
inline bool forbidSystemCalls(AllowedCalls allowed) {
  constexpr unsigned load = BPF_LD | BPF_W | BPF_ABS, equal = BPF_JMP | BPF_JEQ | BPF_K,
                     answer = BPF_RET | BPF_K;
  const unsigned second = allowed == AllowedCalls::Futex ? SYS_futex : SYS_exit_group;
  sock_filter filter[] = {
      BPF_STMT(load, offsetof(seccomp_data, nr)),
      BPF_JUMP(equal, SYS_exit_group, 2, 0),
      BPF_JUMP(equal, second, 1, 0),
      BPF_STMT(answer, SECCOMP_RET_KILL_PROCESS),
      BPF_STMT(answer, SECCOMP_RET_ALLOW),
  };
  sock_fprog program = {static_cast<unsigned short>(std::size(filter)), filter};
  return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
         syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

/// How a child process ended: its exit code, or the signal that killed it.
struct ChildEnd {
  int exitCode = -1;
  int signal = 0;

  std::string describe() const {
    if (signal == SIGSYS)
      return "killed for a forbidden system call";
    return signal ? "killed by signal " + std::to_string(signal)
                  : "exit code " + std::to_string(exitCode);
  }
};

/// Runs `body` in a child process, which exits with its result, and waits for the end.
template <typename Callable> ChildEnd runInChild(Callable &&body) {
  ChildEnd end;
  pid_t child = fork();
  if (child == 0)
    _exit(std::forward<Callable>(body)());
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child)
    ADD_FAILURE() << "cannot run a child process";
  else if (WIFEXITED(status))
    end.exitCode = WEXITSTATUS(status);
  else
    end.signal = WTERMSIG(status);
  return end;
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_SUPPORT_SYSTEMCALLFILTER_H
