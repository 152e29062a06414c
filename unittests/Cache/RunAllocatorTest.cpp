// RunAllocator: alignment, merging, refusals, and a seeded run against a plain map of units.

#include "RunAllocator.h"

#include <gtest/gtest.h>

#include <random>
#include <utility>
#include <vector>

using namespace llmir;

TEST(RunAllocatorTest, SplitsAndMerges) {
  RunAllocator runs(13); // 8 + 4 + 1
  EXPECT_EQ(*runs.largestFreeOrder(), 3);
  int32_t first = *runs.allocate(0);
  EXPECT_EQ(first, 12);
  EXPECT_EQ(*runs.allocate(0), 8);
  EXPECT_EQ(*runs.allocate(1), 10);
  EXPECT_EQ(*runs.allocate(3), 0);
  EXPECT_EQ(runs.numFree(), 1);
  EXPECT_FALSE(runs.allocate(1).has_value());
  EXPECT_TRUE(runs.release(8, 0));
  EXPECT_TRUE(runs.release(10, 1));
  EXPECT_EQ(*runs.largestFreeOrder(), 2);
  EXPECT_EQ(*runs.allocate(2), 8);
  EXPECT_TRUE(runs.checkInvariants());
}

TEST(RunAllocatorTest, RefusesWhatItDidNotGive) {
  RunAllocator runs(8);
  int32_t first = *runs.allocate(1);
  EXPECT_FALSE(runs.release(first, 0));
  EXPECT_FALSE(runs.release(first + 1, 0));
  EXPECT_FALSE(runs.release(-1, 0));
  EXPECT_FALSE(runs.release(8, 0));
  EXPECT_TRUE(runs.release(first, 1));
  EXPECT_FALSE(runs.release(first, 1));
  EXPECT_FALSE(runs.allocate(4).has_value());
  EXPECT_FALSE(runs.allocate(-1).has_value());
  EXPECT_FALSE(RunAllocator(0).allocate(0).has_value());
  EXPECT_EQ(runs.numFree(), 8);
  EXPECT_TRUE(runs.checkInvariants());
}

TEST(RunAllocatorTest, NeverGivesAUnitTwice) {
  constexpr int32_t numUnits = 300;
  RunAllocator runs(numUnits);
  std::vector<bool> taken(numUnits);
  std::vector<std::pair<int32_t, int32_t>> live;
  std::mt19937 random(5);
  int32_t used = 0, refused = 0;
  for (int step = 0; step < 20000; ++step) {
    if (random() % 2 == 0) {
      int32_t order = int32_t(random() % 6), size = 1 << order;
      std::optional<int32_t> first = runs.allocate(order);
      refused += !first;
      if (first) {
        ASSERT_EQ(*first % size, 0);
        for (int32_t i = *first; i < *first + size; ++i) {
          ASSERT_FALSE(taken[size_t(i)]);
          taken[size_t(i)] = true;
        }
        used += size;
        live.push_back({*first, order});
      }
    } else if (!live.empty()) {
      std::swap(live[random() % live.size()], live.back());
      auto [first, order] = live.back();
      live.pop_back();
      ASSERT_TRUE(runs.release(first, order));
      for (int32_t i = first; i < first + (1 << order); ++i)
        taken[size_t(i)] = false;
      used -= 1 << order;
    }
    ASSERT_EQ(runs.numFree(), numUnits - used);
    if (step % 16 == 0)
      ASSERT_TRUE(runs.checkInvariants()) << step;
  }
  EXPECT_GT(refused, 100);
  for (auto [first, order] : live)
    ASSERT_TRUE(runs.release(first, order));
  EXPECT_EQ(*runs.largestFreeOrder(), 8);
}
