// A distributed cache against one PagedKVCache that holds everything: the same random operations,
// the same bytes found. Run by one process with all devices, or by every rank of a collective.

#ifndef LLMIR_UNITTESTS_DISTRIBUTED_DISTRIBUTEDCACHECHECKS_H
#define LLMIR_UNITTESTS_DISTRIBUTED_DISTRIBUTEDCACHECHECKS_H

#include "llmir/Distributed/DistributedPagedKVCache.h"

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <random>
#include <vector>

namespace llmir::test {

/// Both caches and what is known of their sequences.
class DistributedCachePair {
public:
  static constexpr int64_t layers = 5, heads = 6, dim = 4, blockSize = 4, maxSeqLen = 64;

  DistributedCachePair(const ShardingConfig &config, Collective *group, uint32_t seed)
      : one(layers, heads, dim, blockSize, maxSeqLen, ElementType::F16, 400),
        many(layers, heads, dim, blockSize, maxSeqLen, ElementType::F16, config, group),
        random_(seed) {}

  PagedKVCache one;
  DistributedPagedKVCache many;

  /// One random operation on both; the outcomes agree.
  void step() {
    switch (uniform(0, 5)) {
    case 0:
      return fork();
    case 1:
      return truncate();
    case 2:
      return uniform(0, 2) == 0 ? free() : compare();
    default:
      return append();
    }
  }

  /// All sequences at once, found in both.
  void compare() {
    std::vector<int32_t> lengths;
    size_t tokens = 0;
    for (auto &[id, blocks] : blocks_) {
      lengths.push_back(static_cast<int32_t>(blocks.size()));
      tokens = std::max(tokens, blocks.size());
      EXPECT_EQ(*many.length(SequenceId{id}), *one.length(SequenceId{id}));
    }
    std::vector<int32_t> oneBlocks(lengths.size() * tokens), manyBlocks(lengths.size() * tokens);
    size_t row = 0;
    for (auto &[id, blocks] : blocks_) {
      std::span<const BlockId> table = *one.blocks(SequenceId{id});
      for (size_t t = 0; t < blocks.size(); ++t)
        oneBlocks[row * tokens + t] = table[t / blockSize].index;
      std::copy(blocks.begin(), blocks.end(),
                manyBlocks.begin() + static_cast<int64_t>(row * tokens));
      if (auto known = many.blockOfEachToken(SequenceId{id})) {
        EXPECT_EQ(*known, blocks) << "sequence " << id;
      }
      ++row;
    }
    size_t count = layers * lengths.size() * tokens * heads * dim;
    std::vector<uint16_t> keys(count, 1), values(count, 1), otherKeys(count, 2),
        otherValues(count, 2);
    auto batch = static_cast<int64_t>(lengths.size());
    Status status =
        one.lookupKV(oneBlocks.data(), lengths.data(), batch, keys.data(), values.data());
    ASSERT_TRUE(status.isOk()) << status.message();
    status = many.lookupKV(manyBlocks.data(), lengths.data(), batch, otherKeys.data(),
                           otherValues.data());
    ASSERT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(keys, otherKeys);
    EXPECT_EQ(values, otherValues);
  }

private:
  int64_t uniform(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random_);
  }
  int32_t anySequence() {
    return std::next(blocks_.begin(), uniform(0, static_cast<int64_t>(blocks_.size()) - 1))->first;
  }

  void append() {
    int64_t batch = uniform(1, 3), tokens = uniform(0, 9);
    std::vector<int32_t> ids;
    for (int64_t i = 0; i < batch; ++i)
      ids.push_back(static_cast<int32_t>(uniform(0, 3) + 4 * i));
    size_t count = static_cast<size_t>(layers * batch * tokens * heads * dim);
    std::vector<uint16_t> keys(count), values(count);
    for (size_t i = 0; i < count; ++i) {
      keys[i] = static_cast<uint16_t>(random_());
      values[i] = static_cast<uint16_t>(random_());
    }
    std::vector<int32_t> found(static_cast<size_t>(batch * tokens));
    Status expected = one.appendKV(keys.data(), values.data(), batch, tokens, ids.data(), nullptr);
    Status status =
        many.appendKV(keys.data(), values.data(), batch, tokens, ids.data(), found.data());
    ASSERT_EQ(status.isOk(), expected.isOk()) << status.message() << expected.message();
    if (!status.isOk())
      return;
    for (int64_t row = 0; row < batch; ++row) {
      std::vector<int32_t> &blocks = blocks_[ids[static_cast<size_t>(row)]];
      // The last block may have been copied because a fork shares it.
      for (size_t t = blocks.size() / blockSize * blockSize; tokens > 0 && t < blocks.size(); ++t)
        blocks[t] = found[static_cast<size_t>(row * tokens)];
      blocks.insert(blocks.end(), found.begin() + row * tokens, found.begin() + (row + 1) * tokens);
    }
  }

  void fork() {
    if (blocks_.empty())
      return;
    int32_t parent = anySequence();
    auto child = static_cast<int32_t>(uniform(0, 11));
    Status expected = one.fork(SequenceId{parent}, SequenceId{child});
    Status status = many.fork(SequenceId{parent}, SequenceId{child});
    ASSERT_EQ(status.message(), expected.message());
    if (status.isOk()) {
      std::vector<int32_t> copy = blocks_[parent];
      blocks_[child] = std::move(copy);
    }
  }

  void truncate() {
    if (blocks_.empty())
      return;
    int32_t id = anySequence();
    int64_t length = uniform(0, static_cast<int64_t>(blocks_[id].size()) + 1);
    Status expected = one.truncate(SequenceId{id}, length);
    Status status = many.truncate(SequenceId{id}, length);
    ASSERT_EQ(status.message(), expected.message());
    if (status.isOk())
      blocks_[id].resize(static_cast<size_t>(length));
  }

  void free() {
    auto id = static_cast<int32_t>(uniform(0, 11));
    Status expected = one.freeSequence(SequenceId{id});
    ASSERT_EQ(many.freeSequence(SequenceId{id}).message(), expected.message());
    blocks_.erase(id);
  }

  std::mt19937 random_;
  std::map<int32_t, std::vector<int32_t>> blocks_; ///< Of each token, as `many` reports them.
};

inline ShardingConfig shardingOf(ShardingStrategy strategy, int32_t devices) {
  ShardingConfig config;
  config.strategy = strategy;
  config.numDevices = devices;
  config.blocksPerDevice = 400;
  return config;
}

inline constexpr ShardingStrategy allStrategies[] = {
    ShardingStrategy::LAYER_WISE, ShardingStrategy::HEAD_WISE, ShardingStrategy::SEQUENCE_WISE};

inline void checkDistributedCache(ShardingStrategy strategy, int32_t devices, Collective *group,
                                  int steps) {
  DistributedCachePair pair(shardingOf(strategy, devices), group,
                            static_cast<uint32_t>(devices) * 31u + static_cast<uint32_t>(strategy));
  ASSERT_TRUE(pair.many.status().isOk()) << pair.many.status().message();
  for (int i = 0; i < steps && !testing::Test::HasFatalFailure(); ++i)
    pair.step();
  pair.compare();
  for (int32_t device = 0; device < devices; ++device)
    if (PagedKVCache *cache = pair.many.cache(device)) {
      EXPECT_TRUE(cache->checkInvariants().isOk());
      EXPECT_TRUE(!group || group->rank() == device);
    }
}

/// A pool that is full on one device only: nothing happens on any.
inline void checkFullDevice(Collective *group, int32_t devices) {
  ShardingConfig config = shardingOf(ShardingStrategy::SEQUENCE_WISE, devices);
  config.blocksPerDevice = 2;
  DistributedPagedKVCache cache(2, 2, 4, 4, 64, ElementType::F32, config, group);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  std::vector<float> data(2 * 2 * 12 * 2 * 4, 1.0f);
  std::vector<int32_t> blocks(static_cast<size_t>(24), -7);
  int32_t ids[] = {0, 1};
  // One sequence on each of the first two devices, of 8 and of 1 tokens.
  ASSERT_TRUE(cache.appendKV(data.data(), data.data(), 1, 8, &ids[0], blocks.data()).isOk());
  ASSERT_TRUE(cache.appendKV(data.data(), data.data(), 1, 1, &ids[1], blocks.data()).isOk());
  EXPECT_EQ(*cache.deviceOf(SequenceId{0}), 0);
  EXPECT_EQ(*cache.deviceOf(SequenceId{1}), 1);
  blocks.assign(24, -7);
  Status status = cache.appendKV(data.data(), data.data(), 2, 1, ids, blocks.data());
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_NE(status.message().find("device 0: block pool exhausted: need 1 block"),
            std::string::npos)
      << status.message();
  EXPECT_EQ(blocks, std::vector<int32_t>(24, -7));
  EXPECT_EQ(*cache.length(SequenceId{1}), 1);
  for (int32_t device = 0; device < devices; ++device)
    if (PagedKVCache *mine = cache.cache(device)) {
      EXPECT_EQ(mine->pool().numFree(), device == 0 ? 0 : device == 1 ? 1 : 2);
    }
  // What only concerns the other device goes on.
  EXPECT_TRUE(cache.appendKV(data.data(), data.data(), 1, 7, &ids[1], nullptr).isOk());
}

} // namespace llmir::test

#endif // LLMIR_UNITTESTS_DISTRIBUTED_DISTRIBUTEDCACHECHECKS_H
