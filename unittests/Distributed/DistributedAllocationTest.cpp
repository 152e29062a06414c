// A divided cache allocates nothing once it is warm, in one process and over ranks that are threads
// and agree on every operation. A program of its own, because it replaces the allocator.

#include "../Support/AllocationExpectation.h"
#include "ThreadRanks.h"

#include "llmir/Distributed/DistributedPagedKVCache.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;
using llmir::testing::countAllocations;
using llmir::testing::expectNoAllocations;

namespace {

/// Everything that a step and the end of a request do with a divided cache.
class Round {
public:
  Round(ShardingStrategy strategy, Collective *group)
      : cache_(4, 2, 8, 4, 32, ElementType::F16, configOf(strategy), group),
        keys_(4 * 2 * 6 * 2 * 8, 0x3c00), values_(keys_), blocks_(12), requests_(2) {
    EXPECT_TRUE(cache_.status().isOk()) << cache_.status().message();
  }

  bool run(int number) {
    int32_t ids[2] = {100000000 + 3 * number, 100000001 + 3 * number}, lengths[2] = {6, 6};
    SequenceId first{ids[0]}, second{ids[1]}, child{ids[1] + 1};
    bool good = cache_.appendKV(keys_.data(), values_.data(), 2, 6, ids, blocks_.data()).isOk();
    good = good && cache_.lookupKV(blocks_.data(), lengths, 2, keys_.data(), values_.data()).isOk();
    good = good && cache_.fork(first, child).isOk();
    requests_ = {{second, 7}, {child, 3}};
    good = good && cache_.reserve(requests_, tables_).isOk();
    good = good && cache_.truncate(second, 4).isOk();
    for (SequenceId id : {first, second, child})
      good = good && cache_.freeSequence(id).isOk();
    return good;
  }

private:
  static ShardingConfig configOf(ShardingStrategy strategy) {
    ShardingConfig config;
    config.strategy = strategy;
    config.numDevices = 2;
    config.blocksPerDevice = 32;
    return config;
  }

  DistributedPagedKVCache cache_;
  std::vector<CacheStepTables> tables_;
  std::vector<uint16_t> keys_, values_;
  std::vector<int32_t> blocks_;
  std::vector<AppendRequest> requests_;
};

constexpr ShardingStrategy strategies[] = {
    ShardingStrategy::LAYER_WISE, ShardingStrategy::HEAD_WISE, ShardingStrategy::SEQUENCE_WISE};

} // namespace

TEST(DistributedAllocationTest, NothingInOneProcess) {
  for (ShardingStrategy strategy : strategies) {
    Round round(strategy, nullptr);
    expectNoAllocations([&](int number) { return round.run(number); }, 20, 180);
  }
}

TEST(DistributedAllocationTest, NothingOnRanksThatAreThreads) {
  for (ShardingStrategy strategy : strategies)
    test::runThreadRanks(2, [&](Collective &group) {
      Round round(strategy, &group);
      bool good = true;
      for (int number = 0; number < 20; ++number)
        good = round.run(number) && good;
      // Rank 0 counts what both do between two meetings.
      good = group.barrier().isOk() && good;
      int64_t before = countAllocations();
      good = group.barrier().isOk() && good;
      for (int number = 20; number < 120; ++number)
        good = round.run(number) && good;
      good = group.barrier().isOk() && good;
      int64_t after = countAllocations();
      good = group.barrier().isOk() && good;
      EXPECT_TRUE(good);
      EXPECT_EQ(after - before, 0);
    });
}
