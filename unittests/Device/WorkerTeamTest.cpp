// WorkerTeam: barriers order memory for any number of workers, regions start and end, nothing is
// allocated inside, and threads are pinned and given back.

#include "../Support/AllocationCounter.h"

#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

#include <sched.h>

#include <atomic>
#include <thread>
#include <vector>

using namespace llmir;
using llmir::testing::countAllocations;

namespace {

int countAffinity() {
  cpu_set_t set;
  CPU_ZERO(&set);
  sched_getaffinity(0, sizeof(set), &set);
  return CPU_COUNT(&set);
}

class WorkerTeamSizes : public ::testing::TestWithParam<int32_t> {};

} // namespace

TEST_P(WorkerTeamSizes, BarriersOrderEveryRound) {
  int32_t workers = GetParam();
  auto team = *WorkerTeam::create({.workers = workers});
  ASSERT_EQ(team->size(), workers);
  bool oversubscribed = workers > static_cast<int32_t>(availableCPUs().size());
  int64_t rounds = oversubscribed ? 2000 : 50000;

  // In each round everybody writes its cell, and after the barrier reads everybody's: a barrier
  // that lets one through early shows a wrong number. Plain memory, so that ordering counts too.
  std::vector<int64_t> cells(static_cast<size_t>(workers) * 8, -1);
  std::atomic<int64_t> wrong{0};
  int64_t before = countAllocations();
  team->run([&](int32_t worker) {
    for (int64_t round = 0; round < rounds; ++round) {
      cells[static_cast<size_t>(worker) * 8] = round;
      team->barrier(worker);
      for (int32_t other = 0; other < workers; ++other)
        if (cells[static_cast<size_t>(other) * 8] != round)
          wrong.fetch_add(1);
      WorkerTeam::barrierEntry(team.get(), worker);
    }
  });
  EXPECT_EQ(countAllocations(), before);
  EXPECT_EQ(wrong.load(), 0);
}

TEST_P(WorkerTeamSizes, RegionsRunOnEveryWorkerOnce) {
  int32_t workers = GetParam();
  auto team = *WorkerTeam::create({.workers = workers});
  std::vector<int64_t> counts(static_cast<size_t>(workers) * 8, 0);
  int64_t before = countAllocations();
  for (int64_t region = 0; region < 2000; ++region) {
    team->run([&](int32_t worker) { ++counts[static_cast<size_t>(worker) * 8]; });
    for (int32_t worker = 0; worker < workers; ++worker)
      ASSERT_EQ(counts[static_cast<size_t>(worker) * 8], region + 1) << "worker " << worker;
  }
  EXPECT_EQ(countAllocations(), before);
}

INSTANTIATE_TEST_SUITE_P(Sizes, WorkerTeamSizes, ::testing::Values(1, 2, 4, 16));

TEST(WorkerTeamTest, WorksWhenEverybodySleeps) {
  auto team = *WorkerTeam::create({.workers = 3, .spinMicroseconds = 0});
  std::atomic<int32_t> ran{0};
  for (int i = 0; i < 5; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
    team->run([&](int32_t worker) {
      if (worker == 1)
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      team->barrier(worker);
      ran.fetch_add(1);
    });
  }
  EXPECT_EQ(ran.load(), 15);
}

TEST(WorkerTeamTest, PinsItsThreadsAndGivesTheCallersAffinityBack) {
  int available = countAffinity();
  {
    auto team = *WorkerTeam::create();
    EXPECT_EQ(team->size(), static_cast<int32_t>(availableCPUs().size()));
    std::vector<int> cpus(static_cast<size_t>(team->size()), 0);
    team->run([&](int32_t worker) { cpus[static_cast<size_t>(worker)] = countAffinity(); });
    EXPECT_EQ(cpus, std::vector<int>(cpus.size(), 1));

    // A second team while this thread is pinned still knows all CPUs.
    auto unpinned = *WorkerTeam::create({.workers = 2, .pinning = Pinning::None});
    unpinned->run([&](int32_t worker) {
      if (worker == 1) {
        EXPECT_EQ(countAffinity(), static_cast<int>(availableCPUs().size()));
      }
    });
  }
  EXPECT_EQ(countAffinity(), available);
}

TEST(WorkerTeamTest, RefusesBadNumbers) {
  EXPECT_EQ(WorkerTeam::create({.workers = -1}).status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(WorkerTeam::create({.workers = WorkerTeam::maxWorkers + 1}).status().code(),
            StatusCode::InvalidArgument);
  EXPECT_EQ(WorkerTeam::create({.workers = 1, .spinMicroseconds = -1}).status().code(),
            StatusCode::InvalidArgument);
}

TEST(SplitEvenlyTest, CoversTheRangeOnceInGranules) {
  for (int64_t count : {0, 1, 63, 64, 65, 1000, 4096})
    for (int64_t granule : {1, 16, 64})
      for (int32_t workers : {1, 2, 3, 7}) {
        int64_t next = 0;
        for (int32_t worker = 0; worker < workers; ++worker) {
          WorkRange range = splitEvenly(count, granule, worker, workers);
          EXPECT_EQ(range.begin, next);
          EXPECT_LE(range.begin, range.end);
          if (range.end != count) {
            EXPECT_EQ(range.end % granule, 0);
          }
          next = range.end;
        }
        EXPECT_EQ(next, count);
      }
}
