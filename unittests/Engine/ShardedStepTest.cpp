// StepRunner on several ranks: what a step gets of its collective, and errors that all ranks share.

#include "FakeLanguageModel.h"

#include "../Distributed/ThreadRanks.h"

#include "llmir/Engine/StepRunner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace llmir;
using llmir::testing::fakeCacheParameters;
using llmir::testing::fakeProgram;
using ::testing::HasSubstr;

namespace {

/// Rank r's logits are r + 1 before they are added up. A step of three tokens asks for another sum
/// on each rank, which no collective can do.
void shardedStep(const llmir_step_args *args, int32_t worker, int32_t) {
  if (worker == 0) {
    args->logits[0] = static_cast<float>(args->rank + 1);
    args->all_reduce(args->collective, args->logits, args->num_tokens == 3 ? args->rank + 1 : 1);
  }
  args->barrier(args->team, worker);
}

StepProgram shardedProgram(int32_t rank) {
  StepProgram program = fakeProgram();
  program.step = &shardedStep;
  program.rank = rank;
  program.worldSize = 2;
  return program;
}

/// One rank's runner and what it needs.
struct Rank {
  explicit Rank(Collective &group, int64_t blocks = 8)
      : team(*WorkerTeam::create({.workers = 2, .pinning = Pinning::None})),
        cache(fakeCacheParameters(), blocks) {
    PagedKVCache *caches[] = {&cache};
    runner = *StepRunner::create(shardedProgram(group.rank()), *team, caches, {16, 4, 4}, &group);
  }

  Status run(std::vector<int32_t> tokens, int64_t firstPosition) {
    runner->batch().clear();
    auto rows = runner->batch().add({SequenceId{0}, tokens, firstPosition, LogitsRows::Last});
    return rows ? runner->run() : rows.status();
  }

  std::unique_ptr<WorkerTeam> team;
  PagedKVCache cache;
  std::unique_ptr<StepRunner> runner;
};

} // namespace

TEST(ShardedStepTest, AddsUpOverRanks) {
  test::runThreadRanks(2, [](Collective &group) {
    Rank rank(group);
    Status status = rank.run({1, 2}, 0);
    ASSERT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(rank.runner->logits(0)[0], 3.0f);
  });
}

TEST(ShardedStepTest, NobodyRunsWhenOneRankHasNoRoom) {
  test::runThreadRanks(2, [](Collective &group) {
    Rank rank(group, group.rank() == 1 ? 1 : 8);
    std::vector<int32_t> tokens(FAKE_BLOCK_SIZE + 1, 1);
    Status status = rank.run(tokens, 0);
    EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
    EXPECT_THAT(status.message(), HasSubstr("rank 1: block pool exhausted: need 2 blocks, 1 free"));
    EXPECT_EQ(rank.cache.pool().numFree(), group.rank() == 1 ? 1 : 8);
    EXPECT_TRUE(rank.run({1, 2}, 0).isOk());
  });
}

TEST(ShardedStepTest, AFailedSumGivesTheRoomBack) {
  test::runThreadRanks(2, [](Collective &group) {
    Rank rank(group);
    Status status = rank.run({1, 2, 3}, 0);
    EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
    EXPECT_EQ(*rank.cache.length(SequenceId{0}), 0);
    EXPECT_TRUE(rank.run({1, 2}, 0).isOk());
  });
}

TEST(ShardedStepTest, RefusesAnotherRank) {
  auto team = *WorkerTeam::create({.workers = 1, .pinning = Pinning::None});
  PagedKVCache cache(fakeCacheParameters(), 4);
  PagedKVCache *caches[] = {&cache};
  auto alone = StepRunner::create(shardedProgram(1), *team, caches, {16, 4, 4});
  EXPECT_EQ(alone.status().message(),
            "the model was compiled for rank 1 of 2, but this is rank 0 of 1");
  EXPECT_EQ(alone.status().code(), StatusCode::FailedPrecondition);
  auto group = *ThreadCollectiveGroup::create(2);
  auto whole = StepRunner::create(fakeProgram(), *team, caches, {16, 4, 4}, &group->rank(0));
  EXPECT_EQ(whole.status().message(),
            "the model was compiled for rank 0 of 1, but this is rank 0 of 2");
}
