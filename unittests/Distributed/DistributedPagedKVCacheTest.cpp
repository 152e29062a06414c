// DistributedPagedKVCache in one process and over threads; MPIRanks does the same over processes.

#include "DistributedCacheChecks.h"
#include "ThreadRanks.h"

#include <gmock/gmock.h>

using namespace llmir;
using namespace llmir::test;
using testing::HasSubstr;

namespace {

DistributedPagedKVCache makeCache(const ShardingConfig &config, Collective *group = nullptr) {
  return DistributedPagedKVCache(8, 4, 8, 4, 32, ElementType::F32, config, group);
}

} // namespace

TEST(DistributedPagedKVCache, HoldsWhatOneCacheHolds) {
  for (ShardingStrategy strategy : allStrategies)
    for (int32_t devices : {1, 2, 3, 5})
      checkDistributedCache(strategy, devices, nullptr, 150);
}

TEST(DistributedPagedKVCache, HoldsItOverThreads) {
  for (ShardingStrategy strategy : allStrategies)
    for (int32_t devices : {2, 4})
      runThreadRanks(devices, [&](Collective &group) {
        checkDistributedCache(strategy, devices, &group, 60);
      });
}

TEST(DistributedPagedKVCache, AppendsEverywhereOrNowhere) {
  checkFullDevice(nullptr, 2);
  checkFullDevice(nullptr, 3);
  runThreadRanks(2, [](Collective &group) { checkFullDevice(&group, 2); });
}

// One rank's own pool is short: the others learn it and keep their blocks.
TEST(DistributedPagedKVCache, AgreesOnARanksFullPool) {
  runThreadRanks(3, [](Collective &group) {
    ShardingConfig config = shardingOf(ShardingStrategy::HEAD_WISE, 3);
    config.blocksPerDevice = 4;
    DistributedPagedKVCache cache = makeCache(config, &group);
    ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
    PagedKVCache &mine = *cache.cache(group.rank());
    if (group.rank() == 2) {
      ASSERT_TRUE(mine.allocateBlock().isOk()); // Somebody else's.
    }
    std::vector<AppendRequest> requests = {{SequenceId{5}, 16}};
    std::vector<CacheStepTables> tables;
    Status status = cache.reserve(requests, tables);
    EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
    EXPECT_THAT(status.message(), HasSubstr("rank 2: device 2: block pool exhausted: need 4"));
    EXPECT_FALSE(cache.contains(SequenceId{5}));
    EXPECT_EQ(mine.pool().numFree(), group.rank() == 2 ? 3 : 4);
    requests[0].tokens = 9;
    EXPECT_TRUE(cache.reserve(requests, tables).isOk());
    EXPECT_EQ(tables[static_cast<size_t>(group.rank())].slots.size(), 9u);
  });
}

TEST(DistributedPagedKVCache, DividesUnevenly) {
  ShardingConfig config = shardingOf(ShardingStrategy::LAYER_WISE, 3);
  config.deviceIds = {4, 0, 2};
  DistributedPagedKVCache layers = makeCache(config);
  ASSERT_TRUE(layers.status().isOk());
  EXPECT_EQ(layers.shard(0), (CacheShard{4, 0, 3, 0, 4}));
  EXPECT_EQ(layers.shard(1), (CacheShard{0, 3, 3, 0, 4}));
  EXPECT_EQ(layers.shard(2), (CacheShard{2, 6, 2, 0, 4}));
  EXPECT_EQ(layers.cache(2)->layout().num_layers, 2);
  DistributedPagedKVCache heads = makeCache(shardingOf(ShardingStrategy::HEAD_WISE, 3));
  EXPECT_EQ(heads.shard(0), (CacheShard{0, 0, 8, 0, 2}));
  EXPECT_EQ(heads.shard(2), (CacheShard{2, 0, 8, 3, 1}));
}

TEST(DistributedPagedKVCache, BalancesSequences) {
  DistributedPagedKVCache cache = makeCache(shardingOf(ShardingStrategy::SEQUENCE_WISE, 2));
  std::vector<CacheStepTables> tables;
  std::vector<AppendRequest> requests = {
      {SequenceId{1}, 5}, {SequenceId{2}, 3}, {SequenceId{3}, 1}, {SequenceId{4}, 1}};
  ASSERT_TRUE(cache.reserve(requests, tables).isOk());
  EXPECT_EQ(*cache.deviceOf(SequenceId{1}), 0);
  EXPECT_EQ(*cache.deviceOf(SequenceId{2}), 1);
  EXPECT_EQ(*cache.deviceOf(SequenceId{3}), 1);
  EXPECT_EQ(*cache.deviceOf(SequenceId{4}), 1);
  EXPECT_EQ(tables[0].slots.size(), 5u);
  EXPECT_EQ(tables[1].slots.size(), 5u);
  ASSERT_TRUE(cache.fork(SequenceId{2}, SequenceId{9}).isOk());
  EXPECT_EQ(*cache.deviceOf(SequenceId{9}), 1);
  EXPECT_EQ(cache.numSequences(), 5u);
}

TEST(DistributedPagedKVCache, RefusesConfigurations) {
  auto messageOf = [](ShardingConfig config, Collective *group = nullptr) {
    return makeCache(config, group).status().message();
  };
  EXPECT_EQ(messageOf(shardingOf(ShardingStrategy::LAYER_WISE, 9)),
            "distributed KV cache: expected at least one layer for each of 9 devices, but got 8 in "
            "all");
  EXPECT_THAT(messageOf(shardingOf(ShardingStrategy::HEAD_WISE, 5)),
              HasSubstr("one KV head for each of 5 devices, but got 4"));
  EXPECT_THAT(messageOf(shardingOf(ShardingStrategy::HEAD_WISE, 0)),
              HasSubstr("at least one device, but got 0"));
  ShardingConfig config = shardingOf(ShardingStrategy::HEAD_WISE, 2);
  config.deviceIds = {1};
  EXPECT_THAT(messageOf(config), HasSubstr("expected 2 device ids, but got 1"));
  config.deviceIds = {1, 1};
  EXPECT_THAT(messageOf(config), HasSubstr("expected distinct device ids, but got 1 twice"));
  config.deviceIds = {0, -1};
  EXPECT_THAT(messageOf(config), HasSubstr("device ids of 0 or more, but got -1"));
  config.deviceIds = {};
  config.blocksPerDevice = 0;
  EXPECT_THAT(messageOf(config), HasSubstr("blocks a device, but got 0"));
  auto group = *ThreadCollectiveGroup::create(3);
  EXPECT_THAT(messageOf(shardingOf(ShardingStrategy::HEAD_WISE, 2), &group->rank(0)),
              HasSubstr("as many ranks as devices, but got 3 and 2"));
}

TEST(DistributedPagedKVCache, RefusesArguments) {
  DistributedPagedKVCache cache = makeCache(shardingOf(ShardingStrategy::SEQUENCE_WISE, 2));
  std::vector<float> data(8 * 2 * 40 * 4 * 8);
  int32_t ids[] = {3, 3}, lengths[] = {2, 33}, blocks[] = {0, 400};
  auto append = [&](int64_t batch, int64_t tokens) {
    return cache.appendKV(data.data(), data.data(), batch, tokens, ids, nullptr).message();
  };
  EXPECT_EQ(append(2, 1), "expected each sequence once, but got sequence 3 twice");
  EXPECT_THAT(append(1, 33), HasSubstr("sequence 3 is full: has 0 tokens, cannot take 33 more"));
  EXPECT_THAT(append(-1, 1), HasSubstr("0 or more, but got -1 and 1"));
  EXPECT_EQ(cache.appendKV(nullptr, data.data(), 1, 1, ids, nullptr).code(),
            StatusCode::InvalidArgument);
  EXPECT_EQ(cache.truncate(SequenceId{3}, 0).message(), "unknown sequence 3");
  EXPECT_EQ(cache.freeSequence(SequenceId{3}).code(), StatusCode::NotFound);
  EXPECT_EQ(cache.fork(SequenceId{3}, SequenceId{4}).code(), StatusCode::NotFound);
  EXPECT_EQ(cache.length(SequenceId{3}).status().code(), StatusCode::NotFound);
  auto lookUp = [&](int64_t batch, const int32_t *seqLens, const int32_t *blockIndices) {
    return cache.lookupKV(blockIndices, seqLens, batch, data.data(), data.data()).message();
  };
  EXPECT_THAT(lookUp(1, lengths, blocks), HasSubstr("row 0 to be on one device, but token 1 is on "
                                                    "device 1 and those before it on 0"));
  EXPECT_THAT(lookUp(2, lengths, blocks), HasSubstr("length of 0 to 32, but got 33"));
  EXPECT_THAT(lookUp(1, nullptr, blocks), HasSubstr("null pointer"));
  blocks[0] = 800;
  EXPECT_THAT(lookUp(1, lengths, blocks), HasSubstr("a block of 0 to 799 for token 0 in row 0"));
  blocks[0] = blocks[1] = 401;
  EXPECT_THAT(lookUp(1, lengths, blocks), HasSubstr("device 1: expected a block in use"));
  EXPECT_EQ(cache.numSequences(), 0u);
}
