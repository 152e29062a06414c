// ThreadCollectiveGroup: every operation on 1 to 9 ranks, and groups that are abandoned.

#include "CollectiveChecks.h"
#include "ThreadRanks.h"

#include <chrono>
#include <ctime>

using namespace llmir;
using namespace llmir::test;

class ThreadCollectiveTest : public testing::TestWithParam<int32_t> {};

TEST_P(ThreadCollectiveTest, DoesEveryOperation) { runThreadRanks(GetParam(), &checkCollective); }

INSTANTIATE_TEST_SUITE_P(Sizes, ThreadCollectiveTest, testing::Values(1, 2, 3, 4, 9));

TEST(ThreadCollectiveGroup, RefusesSizes) {
  EXPECT_EQ(ThreadCollectiveGroup::create(0).status().message(),
            "expected 1 to 256 ranks, but got 0");
  EXPECT_EQ(ThreadCollectiveGroup::create(257).status().code(), StatusCode::InvalidArgument);
}

TEST(ThreadCollectiveGroup, AbandoningWakesThoseWhoWait) {
  auto group = *ThreadCollectiveGroup::create(4);
  std::vector<float> data(8, 2.0f);
  std::vector<Status> statuses(3);
  std::vector<std::thread> threads;
  threads.emplace_back([&] { statuses[0] = group->rank(0).allReduceSum(data); });
  threads.emplace_back([&] { statuses[1] = group->rank(1).receive(data.data() + 1, 4, 3); });
  threads.emplace_back([&] { statuses[2] = group->rank(2).send(data.data(), 4, 3); });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  group->abandon(resourceExhausted("block pool exhausted: need 2 blocks, 0 free"));
  group->abandon(internalError("too late"));
  for (std::thread &thread : threads)
    thread.join();
  for (const Status &status : statuses) {
    EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
    EXPECT_NE(status.message().find("the group was abandoned: block pool exhausted: need 2 blocks"),
              std::string::npos)
        << status.message();
  }
  for (float value : data)
    EXPECT_EQ(value, 2.0f);
  EXPECT_FALSE(group->rank(3).barrier().isOk());
  EXPECT_FALSE(group->rank(3).status().isOk());
}

// All ranks finish an operation or none does, wherever the end of the group falls.
TEST(ThreadCollectiveGroup, AbandoningNeverSplitsAnOperation) {
  for (int round = 0; round < 100; ++round) {
    auto group = *ThreadCollectiveGroup::create(3);
    std::vector<int64_t> finished(3);
    std::vector<std::thread> threads;
    for (int32_t rank = 0; rank < 3; ++rank)
      threads.emplace_back([&, rank] {
        std::vector<float> data(100, 1.0f);
        while (group->rank(rank).allReduceSum(data).isOk())
          ++finished[static_cast<size_t>(rank)];
      });
    for (int spin = 0; spin < round * 50; ++spin)
      std::this_thread::yield();
    group->abandon(internalError("enough"));
    for (std::thread &thread : threads)
      thread.join();
    EXPECT_EQ(finished[0], finished[1]);
    EXPECT_EQ(finished[0], finished[2]);
  }
}

// A rank that waits for a late one sleeps.
TEST(ThreadCollectiveGroup, WaitingTakesNoProcessorTime) {
  runThreadRanks(2, [](Collective &group) {
    if (group.rank() == 0)
      std::this_thread::sleep_for(std::chrono::milliseconds(300));
    timespec before{}, after{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &before);
    EXPECT_TRUE(group.barrier().isOk());
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &after);
    double used = static_cast<double>(after.tv_sec - before.tv_sec) +
                  1e-9 * static_cast<double>(after.tv_nsec - before.tv_nsec);
    EXPECT_LT(used, 0.1);
  });
}
