// The grammar fuzzer: random modules that verify, each through every pipeline in a process of its
// own, so that a crash is one module's. LLMIR_FUZZ_MODULES says how many (300), LLMIR_FUZZ_SEED the
// first one's seed (1), LLMIR_FUZZ_FOLDER where modules that fail are written;
// LLMIR_FUZZ_ALL_CODE=1 generates machine code for all of them, not for some. The target fuzz-long
// runs 10,000 that way.

#include "ModuleCheck.h"
#include "ModuleGenerator.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>

using namespace llmir;
using namespace llmir::testing;

namespace {

uint64_t numberFrom(const char *variable, uint64_t otherwise) {
  const char *value = std::getenv(variable);
  return value ? std::strtoull(value, nullptr, 10) : otherwise;
}

constexpr int kNumCounts = 9;

/// What a child tells its parent, in one write.
struct Message {
  int counts[kNumCounts];
  char failure[2000];
};

/// A module that is being checked.
struct Child {
  uint64_t seed = 0;
  int pipe = -1;
};

class ModuleFuzzTest : public ::testing::Test {
protected:
  static constexpr unsigned kSecondsAModule = 120;

  void SetUp() override {
    prepareModuleChecks(registry);
    const char *given = std::getenv("LLMIR_FUZZ_FOLDER");
    folder = given ? given : ::testing::TempDir() + "llmir-fuzz";
    choice = numberFrom("LLMIR_FUZZ_ALL_CODE", 0) ? CodeChoice::All : CodeChoice::Some;
  }

  /// Starts the check of one module.
  void start(uint64_t seed) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    std::cout.flush();
    pid_t pid = ::fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      ::close(ends[0]);
      ::alarm(kSecondsAModule);
      runChild(seed, ends[1]);
    }
    ::close(ends[1]);
    children[pid] = {seed, ends[0]};
  }

  [[noreturn]] void runChild(uint64_t seed, int pipe) {
    ModuleVerdict verdict = checkModule(ModuleGenerator(seed).generate(), seed, choice, registry);
    Message message = {{verdict.passesChecked, verdict.functionsCompared, verdict.refusedByCPU,
                        verdict.loweredByCPU, verdict.refusedByGPU, verdict.loweredByGPU,
                        verdict.milliseconds[0], verdict.milliseconds[1], verdict.milliseconds[2]},
                       {}};
    std::strncpy(message.failure, verdict.failure.c_str(), sizeof(message.failure) - 1);
    ssize_t written = ::write(pipe, &message, sizeof(message));
    ::_exit(written == static_cast<ssize_t>(sizeof(message)) ? 0 : 1);
  }

  /// Waits for one child and takes down what became of its module.
  void finishOne() {
    int status = 0;
    pid_t pid = ::waitpid(-1, &status, 0);
    auto found = children.find(pid);
    if (found == children.end())
      return;
    Child child = found->second;
    children.erase(found);
    Message message = {};
    bool complete = ::read(child.pipe, &message, sizeof(message)) == sizeof(message);
    ::close(child.pipe);
    std::string what = message.failure;
    if (WIFSIGNALED(status))
      what = WTERMSIG(status) == SIGALRM
                 ? "took more than " + std::to_string(kSecondsAModule) + " seconds"
                 : std::string("crashed: ") + ::strsignal(WTERMSIG(status));
    else if (!complete)
      what = "ended with " + std::to_string(WEXITSTATUS(status)) + " without a verdict";
    for (int i = 0; i < kNumCounts; ++i)
      totals[i] += message.counts[i];
    if (!what.empty())
      report(child.seed, what);
  }

  void report(uint64_t seed, const std::string &what) {
    std::filesystem::create_directories(folder);
    std::string path = folder + "/module-" + std::to_string(seed) + ".mlir";
    std::ofstream file(path);
    std::string comment = what;
    for (size_t i = 0; (i = comment.find('\n', i)) != std::string::npos; i += 4)
      comment.replace(i, 1, "\n// ");
    file << "// Seed " << seed << ": " << comment << "\n" << ModuleGenerator(seed).generate();
    ++numFailures;
    ADD_FAILURE() << "module of seed " << seed << " (" << path << "): " << what;
  }

  mlir::DialectRegistry registry;
  std::string folder;
  CodeChoice choice = CodeChoice::Some;
  std::map<pid_t, Child> children;
  int64_t totals[kNumCounts] = {};
  int64_t numFailures = 0;
};

} // namespace

TEST_F(ModuleFuzzTest, EveryPipelineLowersRightlyOrRefuses) {
  uint64_t count = numberFrom("LLMIR_FUZZ_MODULES", 300);
  uint64_t first = numberFrom("LLMIR_FUZZ_SEED", 1);
  uint64_t jobs = numberFrom("LLMIR_FUZZ_JOBS", 2);
  for (uint64_t seed = first; seed < first + count; ++seed) {
    while (children.size() >= jobs)
      finishOne();
    start(seed);
  }
  while (!children.empty())
    finishOne();
  std::cout << count << " modules, " << numFailures << " failed; " << totals[0]
            << " results compared around passes, " << totals[1]
            << " with compiled code; CPU: " << totals[3] << " lowered, " << totals[2]
            << " refused; GPU: " << totals[5] << " lowered, " << totals[4] << " refused; "
            << totals[6] / 1000 << " s passes, " << totals[7] / 1000 << " s CPU, "
            << totals[8] / 1000 << " s GPU\n";
  if (count >= 300) {
    // The generator has to reach all of this, or the fuzzer proves nothing.
    EXPECT_GT(totals[0], static_cast<int64_t>(count));
    EXPECT_GT(totals[1], static_cast<int64_t>(count) / 6);
    EXPECT_GT(totals[2], 0);
    EXPECT_GT(totals[4], 0);
    EXPECT_GT(totals[5], 0);
  }
}

TEST(ModuleGeneratorTest, SeedsDecideModules) {
  EXPECT_EQ(ModuleGenerator(7).generate(), ModuleGenerator(7).generate());
  EXPECT_NE(ModuleGenerator(7).generate(), ModuleGenerator(8).generate());
}
