// Starts groups of processes with mpirun; without MPI, checks that the library says so.

#include "llmir/Distributed/MPICollective.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <string>

using namespace llmir;

#ifdef LLMIR_MPIRUN

namespace {

struct Outcome {
  int exitStatus = -1;
  std::string output;
};

/// Runs `program` on `ranks` processes of this host.
Outcome runRanks(int ranks, const std::string &program) {
  std::string command =
      std::string(LLMIR_MPIRUN) + " --allow-run-as-root --oversubscribe --bind-to none -n " +
      std::to_string(ranks) + " -x LLMIR_EXPECTED_RANKS=" + std::to_string(ranks) + " " + program +
      " --gtest_brief=1 2>&1 </dev/null";
  Outcome outcome;
  FILE *pipe = popen(command.c_str(), "r");
  if (!pipe)
    return outcome;
  char buffer[4096];
  while (size_t length = fread(buffer, 1, sizeof buffer, pipe))
    outcome.output.append(buffer, length);
  outcome.exitStatus = pclose(pipe);
  return outcome;
}

} // namespace

class MPICollectiveTest : public testing::TestWithParam<int> {};

TEST_P(MPICollectiveTest, ProcessesDoEveryOperation) {
  Outcome outcome = runRanks(GetParam(), LLMIR_MPI_RANKS);
  EXPECT_EQ(outcome.exitStatus, 0) << outcome.output;
}

INSTANTIATE_TEST_SUITE_P(Ranks, MPICollectiveTest, testing::Values(1, 2, 4));

#else

TEST(MPICollective, SaysThatItIsAbsent) {
  auto session = MPISession::start();
  ASSERT_FALSE(session.isOk());
  EXPECT_EQ(session.status().code(), StatusCode::Unimplemented);
  EXPECT_NE(session.status().message().find("this build has no MPI: install"), std::string::npos);
  GTEST_SKIP() << "no MPI in this build: processes were not started";
}

#endif
