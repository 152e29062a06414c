// Caches allocate nothing once they are warm: sequences come, grow, fork, are read and end, through
// C++ and through the C ABI, and the number of allocations stands still. A program of its own,
// because it replaces the allocator.

#include "../Support/AllocationExpectation.h"

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;
using llmir::testing::expectNoAllocations;

namespace {

CacheParameters smallCache(ElementType type) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = type;
  parameters.numLayers = 2;
  parameters.numKVHeads = 1;
  parameters.keyHeadDim = parameters.valueHeadDim = 16;
  parameters.blockSize = 4;
  parameters.maxSeqLen = 32;
  parameters.keyScales = parameters.valueScales =
      type == ElementType::F16 ? ScaleGranularity::None : ScaleGranularity::Token;
  return parameters;
}

/// Ids of any length in digits: a message that is made and thrown away must not go unnoticed.
int32_t idOf(int round) { return (round % 2 == 0 ? 1 : -1) * (100000000 + 3 * round); }

/// One round of a server's life: everything that a step and the end of a request do.
class Round {
public:
  explicit Round(const CacheParameters &parameters)
      : cache_(parameters, ElementType::F32, 64), keys_(2 * 2 * 6 * 16, 1.0f), values_(keys_),
        blocks_(12), requests_(2) {
    EXPECT_TRUE(cache_.status().isOk()) << cache_.status().message();
  }

  bool run(int32_t firstId) {
    int32_t ids[2] = {firstId, firstId + 1}, lengths[2] = {6, 6};
    SequenceId first{ids[0]}, second{ids[1]}, child{firstId + 2}, attached{firstId + 3};
    bool good = cache_.appendKV(keys_.data(), values_.data(), 2, 6, ids, blocks_.data()).isOk();
    good = good && cache_.lookupKV(blocks_.data(), lengths, 2, keys_.data(), values_.data()).isOk();
    good = good && cache_.fork(first, child).isOk();
    good = good && cache_.attach(attached, *cache_.blocks(first), 5).isOk();
    requests_ = {{second, 7}, {child, 3}};
    good = good && cache_.reserve(requests_, tables_).isOk();
    good = good && cache_.truncate(second, 4).isOk();
    for (SequenceId id : {first, second, child, attached})
      good = good && cache_.freeSequence(id).isOk();
    return good;
  }

private:
  PagedKVCache cache_;
  CacheStepTables tables_;
  std::vector<float> keys_, values_;
  std::vector<int32_t> blocks_;
  std::vector<AppendRequest> requests_;
};

} // namespace

TEST(CacheAllocationTest, NothingAfterWarmUp) {
  for (ElementType type : {ElementType::F16, ElementType::I8, ElementType::I4}) {
    SCOPED_TRACE(elementTypeName(type));
    Round round(smallCache(type));
    expectNoAllocations([&](int i) { return round.run(idOf(i)); }, 20, 180);
  }
}

TEST(CacheAllocationTest, NothingThroughTheCABI) {
  PagedKVCache cache(smallCache(ElementType::F16), 64);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  llmir_rt_cache *handle = cache.handle();
  int32_t slots[10], blocks[10], table[2 * 8];
  auto round = [&](int i) {
    int32_t ids[2] = {idOf(i), idOf(i) + 1};
    bool good = llmir_rt_cache_append(handle, ids, 2, 5, slots, blocks) == 0;
    for (int token = 0; token < 6; ++token)
      good = llmir_rt_cache_append(handle, ids, 2, 1, slots, blocks) == 0 && good;
    good = llmir_rt_cache_block_table(handle, ids, 2, 8, table) == 0 && good;
    good = llmir_rt_cache_base(handle, &cache.layout()) != nullptr && good;
    for (int32_t id : ids)
      good = cache.freeSequence(SequenceId{id}).isOk() && good;
    return good;
  };
  expectNoAllocations(round, 20, 180);
}

TEST(CacheAllocationTest, NothingInAQuantizedCache) {
  // Keys and values apart, one layer by itself: two caches behind one.
  QuantizationConfig config(QuantizationType::INT8, QuantizationStrategy::PER_TOKEN);
  config.exceptions[1] = {};
  QuantizedPagedKVCache cache(3, 2, 16, 4, 32, config, ElementType::F16, 64);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  ASSERT_EQ(cache.caches().size(), 2u);
  std::vector<uint16_t> keys(3 * 2 * 6 * 2 * 16, 0x3c00), values(keys);
  std::vector<int32_t> blocks(12);
  auto round = [&](int i) {
    int32_t ids[2] = {idOf(i), idOf(i) + 1}, lengths[2] = {6, 6};
    bool good = cache.appendKV(keys.data(), values.data(), 2, 6, ids, blocks.data()).isOk();
    good = cache.lookupKV(blocks.data(), lengths, 2, keys.data(), values.data()).isOk() && good;
    for (int64_t layer = 0; layer < 3; ++layer)
      good =
          cache.appendKV(keys.data(), values.data(), 2, 1, ids, nullptr, {layer, 1}).isOk() && good;
    good = cache.fork(SequenceId{ids[0]}, SequenceId{ids[0] + 2}).isOk() && good;
    good = cache.truncate(SequenceId{ids[0]}, 3).isOk() && good;
    for (int32_t id : {ids[0], ids[1], ids[0] + 2})
      good = cache.freeSequence(SequenceId{id}).isOk() && good;
    return good;
  };
  expectNoAllocations(round, 20, 180);
}
