// One process of an MPI group that checks its end of the collectives, and its shard of a cache.
// Started by MPICollectiveTest through mpirun; not a test program by itself.

#include "CollectiveChecks.h"
#include "DistributedCacheChecks.h"

#include "llmir/Distributed/MPICollective.h"

#include <cstdio>
#include <cstdlib>
#include <memory>

using namespace llmir;

namespace {

Collective *world = nullptr;

} // namespace

TEST(MPIRanks, HasTheSizeThatItWasStartedWith) {
  const char *expected = std::getenv("LLMIR_EXPECTED_RANKS");
  ASSERT_NE(expected, nullptr);
  EXPECT_EQ(world->size(), std::atoi(expected));
}

TEST(MPIRanks, DoesEveryOperation) { test::checkCollective(*world); }

TEST(MPIRanks, HoldsItsShardOfACache) {
  for (ShardingStrategy strategy : test::allStrategies)
    test::checkDistributedCache(strategy, world->size(), world, 60);
  if (world->size() > 1)
    test::checkFullDevice(world, world->size());
}

int main(int argc, char **argv) {
  testing::InitGoogleTest(&argc, argv);
  StatusOr<std::unique_ptr<MPISession>> session = MPISession::start();
  if (!session) {
    std::fprintf(stderr, "%s\n", session.status().message().c_str());
    return 2;
  }
  StatusOr<std::unique_ptr<Collective>> group = (*session)->world();
  if (!group) {
    std::fprintf(stderr, "%s\n", group.status().message().c_str());
    return 2;
  }
  world = group->get();
  return RUN_ALL_TESTS();
}
