// BlockPool: exhaustion, order of reuse, owners, stale ids, and a seeded random run against sets.

#include "llmir/Cache/BlockPool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <random>
#include <string>
#include <vector>

using namespace llmir;

TEST(BlockPoolTest, HandsOutEveryBlockThenIsExhausted) {
  BlockPool pool(3);
  for (int32_t i = 0; i < 3; ++i)
    EXPECT_EQ((*pool.allocate()).index, i);
  StatusOr<BlockId> fourth = pool.allocate();
  ASSERT_FALSE(fourth.isOk());
  EXPECT_EQ(fourth.status().code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(fourth.status().message(), "block pool exhausted: need 1 block, 0 free of 3");
  EXPECT_EQ(pool.checkFree(2).message(), "block pool exhausted: need 2 blocks, 0 free of 3");
}

TEST(BlockPoolTest, RefusesANegativeNumberOfBlocksAndStaysEmpty) {
  BlockPool pool(-1);
  const std::string message = "block pool: expected 0 or more blocks, but got -1";
  EXPECT_EQ(pool.status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(pool.status().message(), message);
  EXPECT_EQ(pool.numBlocks(), 0);
  EXPECT_EQ(pool.numFree(), 0);
  EXPECT_EQ(pool.allocate().status().message(), message);
  EXPECT_EQ(pool.checkFree(0).message(), message);
  for (int32_t index : {-1, 0}) {
    BlockId block{index, 1};
    EXPECT_EQ(pool.retain(block).message(), message);
    EXPECT_EQ(pool.release(block).message(), message);
    EXPECT_EQ(pool.revive(block).message(), message);
    EXPECT_EQ(pool.useCount(block).status().message(), message);
    EXPECT_FALSE(pool.isLive(block));
  }
  EXPECT_EQ(pool.checkInvariants().message(), message);
  EXPECT_TRUE(pool.freeBlocks().empty());
  pool.shuffleFree(1);
}

TEST(BlockPoolTest, HasNothingToHandOutWithoutBlocks) {
  BlockPool none, empty(0);
  for (BlockPool *pool : {&none, &empty}) {
    EXPECT_TRUE(pool->status().isOk());
    EXPECT_EQ(pool->allocate().status().message(),
              "block pool exhausted: need 1 block, 0 free of 0");
    EXPECT_TRUE(pool->checkFree(0).isOk());
    EXPECT_TRUE(pool->checkInvariants().isOk());
  }
}

TEST(BlockPoolTest, CountsTheAllocationsSinceABlocksOwn) {
  BlockPool pool(3);
  EXPECT_EQ(pool.numAllocations(), 0u);
  BlockId a = *pool.allocate(), b = *pool.allocate();
  EXPECT_EQ(pool.numAllocations(), 2u);
  EXPECT_EQ(pool.age(a.index), 1u);
  EXPECT_EQ(pool.age(b.index), 0u);
  ASSERT_TRUE(pool.retain(a).isOk()); // Another owner makes it no younger,
  ASSERT_TRUE(pool.release(a).isOk());
  ASSERT_TRUE(pool.release(a).isOk());
  BlockId c = *pool.allocate();
  ASSERT_TRUE(pool.revive(a).isOk()); // nor does coming back,
  EXPECT_EQ(pool.age(a.index), 2u);
  EXPECT_EQ(pool.age(b.index), 1u);
  EXPECT_EQ(pool.age(c.index), 0u);
  ASSERT_TRUE(pool.release(a).isOk());
  a = *pool.allocate(); // but being handed out again does.
  EXPECT_EQ(pool.age(a.index), 0u);
  EXPECT_EQ(pool.numAllocations(), 4u);
}

TEST(BlockPoolTest, ReusesTheBlockReleasedLongestAgo) {
  BlockPool pool(3);
  BlockId a = *pool.allocate(), b = *pool.allocate(), c = *pool.allocate();
  ASSERT_TRUE(pool.release(b).isOk());
  ASSERT_TRUE(pool.release(c).isOk());
  ASSERT_TRUE(pool.release(a).isOk());
  EXPECT_EQ((*pool.allocate()).index, b.index);
  EXPECT_EQ((*pool.allocate()).index, c.index);
  EXPECT_EQ((*pool.allocate()).index, a.index);
}

TEST(BlockPoolTest, ShufflesFreeBlocksBySeedAndKeepsThemAll) {
  auto order = [](uint64_t seed) {
    BlockPool pool(20);
    BlockId used = *pool.allocate();
    pool.shuffleFree(seed);
    EXPECT_EQ(pool.numFree(), 19);
    EXPECT_TRUE(pool.isLive(used));
    std::vector<int32_t> indices;
    while (pool.numFree() > 0)
      indices.push_back((*pool.allocate()).index);
    return indices;
  };
  std::vector<int32_t> shuffled = order(1);
  EXPECT_EQ(order(1), shuffled);
  EXPECT_NE(order(2), shuffled);
  std::vector<int32_t> sorted = shuffled;
  std::sort(sorted.begin(), sorted.end());
  EXPECT_NE(sorted, shuffled);
  for (int32_t i = 0; i < 19; ++i)
    EXPECT_EQ(sorted[static_cast<size_t>(i)], i + 1);
}

TEST(BlockPoolTest, CountsOwnersAndRefusesToFreeTwice) {
  BlockPool pool(2);
  BlockId block = *pool.allocate();
  ASSERT_TRUE(pool.retain(block).isOk());
  EXPECT_EQ(*pool.useCount(block), 2);
  ASSERT_TRUE(pool.release(block).isOk());
  EXPECT_TRUE(pool.isLive(block));
  ASSERT_TRUE(pool.release(block).isOk());
  EXPECT_FALSE(pool.isLive(block));
  EXPECT_EQ(pool.numFree(), 2);
  EXPECT_EQ(pool.release(block).message(),
            "cannot release block 0 (generation 1): it is free already");
  EXPECT_EQ(pool.retain(block).message(), "cannot retain block 0 (generation 1): it is free");
  EXPECT_EQ(pool.numFree(), 2);
}

TEST(BlockPoolTest, RefusesStaleIds) {
  BlockPool pool(1);
  BlockId old = *pool.allocate();
  ASSERT_TRUE(pool.release(old).isOk());
  BlockId current = *pool.allocate();
  EXPECT_EQ(old.index, current.index);
  for (Status status : {pool.retain(old), pool.release(old), pool.revive(old)}) {
    EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
    EXPECT_EQ(status.message(), "stale block 0 (generation 1): the block is now of generation 2");
  }
  EXPECT_FALSE(pool.isLive(old));
  EXPECT_EQ(*pool.useCount(current), 1);
}

TEST(BlockPoolTest, RefusesIdsThatWereNeverGiven) {
  BlockPool pool(2);
  EXPECT_EQ(pool.release({0, 0}).code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(pool.release({2, 1}).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(pool.retain({-1, 1}).code(), StatusCode::InvalidArgument);
  EXPECT_FALSE(pool.isLive({5, 1}));
}

TEST(BlockPoolTest, RevivesAFreeBlockOutOfTheMiddle) {
  BlockPool pool(3);
  BlockId a = *pool.allocate(), b = *pool.allocate(), c = *pool.allocate();
  for (BlockId block : {a, b, c})
    ASSERT_TRUE(pool.release(block).isOk());
  ASSERT_TRUE(pool.revive(b).isOk());
  EXPECT_TRUE(pool.isLive(b));
  EXPECT_EQ(pool.revive(b).code(), StatusCode::FailedPrecondition);
  EXPECT_EQ((*pool.allocate()).index, a.index);
  EXPECT_EQ((*pool.allocate()).index, c.index);
  EXPECT_FALSE(pool.allocate().isOk());
}

TEST(BlockPoolTest, FollowsAModelOverRandomOperations) {
  constexpr int32_t numBlocks = 13;
  BlockPool pool(numBlocks);
  std::deque<int32_t> freeOrder;
  for (int32_t i = 0; i < numBlocks; ++i)
    freeOrder.push_back(i);
  std::map<int32_t, std::pair<BlockId, int32_t>> live; // index -> id, owners
  std::vector<BlockId> dead;
  std::mt19937 random(20240607);
  for (int step = 0; step < 20000; ++step) {
    uint32_t action = random() % 4;
    if (action == 0) {
      StatusOr<BlockId> block = pool.allocate();
      ASSERT_EQ(block.isOk(), !freeOrder.empty());
      if (!block)
        continue;
      ASSERT_EQ(block->index, freeOrder.front());
      freeOrder.pop_front();
      live[block->index] = {*block, 1};
    } else if (action == 1 && !dead.empty()) {
      BlockId block = dead[random() % dead.size()];
      ASSERT_FALSE(pool.release(block).isOk());
      ASSERT_FALSE(pool.retain(block).isOk());
    } else if (!live.empty()) {
      auto entry = std::next(live.begin(), random() % live.size());
      auto &[block, owners] = entry->second;
      ASSERT_EQ(*pool.useCount(block), owners);
      if (action == 2) {
        ASSERT_TRUE(pool.retain(block).isOk());
        ++owners;
      } else {
        ASSERT_TRUE(pool.release(block).isOk());
        if (--owners == 0) {
          freeOrder.push_back(block.index);
          dead.push_back(block);
          live.erase(entry);
        }
      }
    }
    ASSERT_EQ(pool.numFree(), static_cast<int32_t>(freeOrder.size()));
  }
}

// A generation is never used twice: the block leaves the pool instead.
TEST(BlockPoolTest, RetiresABlockAfterItsLastGeneration) {
  constexpr uint32_t last = std::numeric_limits<uint32_t>::max();
  BlockPool pool(2);
  pool.skipGenerations(last - 2);
  BlockId first = *pool.allocate(), second = *pool.allocate();
  EXPECT_EQ(first.generation, last - 1);
  ASSERT_TRUE(pool.release(first).isOk());
  BlockId again = *pool.allocate();
  EXPECT_EQ(again, (BlockId{first.index, last}));
  EXPECT_FALSE(pool.isLive(first));
  // The last generation may be shared like any other.
  ASSERT_TRUE(pool.retain(again).isOk());
  ASSERT_TRUE(pool.release(again).isOk());
  EXPECT_TRUE(pool.isLive(again));
  ASSERT_TRUE(pool.release(again).isOk());
  EXPECT_EQ(pool.numRetired(), 1);
  EXPECT_EQ(pool.numFree(), 0);
  EXPECT_EQ(pool.allocate().status().message(), "block pool exhausted: need 1 block, 0 free of 2");
  // No id of it is good for anything, the first generation's neither.
  for (uint32_t generation : {last, last - 1, 1u, 0u}) {
    BlockId id{first.index, generation};
    EXPECT_EQ(pool.retain(id).code(), StatusCode::FailedPrecondition);
    EXPECT_EQ(pool.release(id).code(), StatusCode::FailedPrecondition);
    EXPECT_EQ(pool.revive(id).code(), StatusCode::FailedPrecondition);
    EXPECT_FALSE(pool.isLive(id));
  }
  EXPECT_TRUE(pool.checkInvariants().isOk()) << pool.checkInvariants().message();
  pool.shuffleFree(1);
  // The other one has a generation left.
  ASSERT_TRUE(pool.release(second).isOk());
  EXPECT_EQ(*pool.allocate(), (BlockId{second.index, last}));
  ASSERT_TRUE(pool.release({second.index, last}).isOk());
  EXPECT_EQ(pool.numRetired(), 2);
  EXPECT_FALSE(pool.allocate().isOk());
  EXPECT_TRUE(pool.checkInvariants().isOk()) << pool.checkInvariants().message();
}
