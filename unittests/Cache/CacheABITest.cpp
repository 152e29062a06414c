// The C ABI of caches: slots, blocks, tables and base for compiled code; a failure stays in the
// cache and makes every later call fail.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;

TEST(CacheABITest, AppendsAndListsBlocks) {
  PagedKVCache cache(1, 1, 2, 4, 16, ElementType::F16, 8);
  std::vector<int32_t> ids = {3, 9}, slots(10, -7), blocks(10, -7), table(6, -7);
  ASSERT_EQ(llmir_rt_cache_append(cache.handle(), ids.data(), 2, 5, slots.data(), blocks.data()),
            0);
  EXPECT_EQ(slots, (std::vector<int32_t>{0, 1, 2, 3, 4, 8, 9, 10, 11, 12}));
  EXPECT_EQ(blocks, (std::vector<int32_t>{0, 0, 0, 0, 1, 2, 2, 2, 2, 3}));
  ASSERT_EQ(llmir_rt_cache_block_table(cache.handle(), ids.data(), 2, 3, table.data()), 0);
  EXPECT_EQ(table, (std::vector<int32_t>{0, 1, 0, 2, 3, 0}));
  EXPECT_EQ(llmir_rt_cache_base(cache.handle(), &cache.layout()), cache.base());
  EXPECT_TRUE(cache.status().isOk());
}

TEST(CacheABITest, KeepsTheFirstFailure) {
  PagedKVCache cache(1, 1, 2, 4, 16, ElementType::F16, 2);
  std::vector<int32_t> ids = {3, 9}, slots(10, -7), blocks(10, -7), table(2, -7);
  EXPECT_EQ(llmir_rt_cache_append(cache.handle(), ids.data(), 2, 5, slots.data(), blocks.data()),
            static_cast<int32_t>(StatusCode::ResourceExhausted));
  EXPECT_EQ(slots, std::vector<int32_t>(10, -1));
  EXPECT_EQ(blocks, std::vector<int32_t>(10, 0));
  std::string message = cache.status().message();
  EXPECT_EQ(message, "llmir_rt_cache_append: block pool exhausted: need 4 blocks, 2 free of 2");
  EXPECT_EQ(llmir_rt_cache_append(cache.handle(), ids.data(), 1, 1, slots.data(), blocks.data()),
            static_cast<int32_t>(StatusCode::ResourceExhausted));
  EXPECT_NE(llmir_rt_cache_block_table(cache.handle(), ids.data(), 2, 1, table.data()), 0);
  EXPECT_EQ(table, std::vector<int32_t>(2, 0));
  EXPECT_EQ(llmir_rt_cache_base(cache.handle(), &cache.layout()), nullptr);
  EXPECT_EQ(cache.status().message(), message);
}

TEST(CacheABITest, RefusesAnotherLayout) {
  PagedKVCache cache(1, 1, 2, 4, 16, ElementType::F16, 2);
  llmir_cache_layout other = cache.layout();
  other.key_head_dim = 3;
  EXPECT_EQ(llmir_rt_cache_base(cache.handle(), &other), nullptr);
  EXPECT_EQ(cache.status().message(),
            "llmir_rt_cache_base: expected a cache with 'key_head_dim' 3, but it has 2");
}

// A sliding window that the code was compiled for and the cache does not have, or has otherwise,
// and the blocks that such a window would have changed.
TEST(CacheABITest, VLLM47648_RefusesAnotherSlidingWindow) {
  CacheParameters windowed;
  windowed.numLayers = windowed.numKVHeads = 1;
  windowed.keyHeadDim = windowed.valueHeadDim = 2;
  windowed.blockSize = 4;
  windowed.maxSeqLen = 16;
  windowed.window = 8;
  windowed.numSinks = 2;
  const CacheParameters full = [&] {
    CacheParameters parameters = windowed;
    parameters.window = parameters.numSinks = 0;
    return parameters;
  }();
  llmir_cache_layout compiled = *makeCacheLayout(windowed);
  PagedKVCache same(windowed, 2), unlimited(full, 2);
  EXPECT_EQ(llmir_rt_cache_base(same.handle(), &compiled), same.base());
  EXPECT_EQ(llmir_rt_cache_base(unlimited.handle(), &compiled), nullptr);
  EXPECT_EQ(unlimited.status().message(),
            "llmir_rt_cache_base: expected a cache with 'window' 8, but it has 0");
  // What was refused once stays refused.
  int32_t id = 1, slot = -7, block = -7;
  EXPECT_NE(llmir_rt_cache_append(unlimited.handle(), &id, 1, 1, &slot, &block), 0);
  EXPECT_EQ(slot, -1);
  for (int32_t llmir_cache_layout::*field :
       {&llmir_cache_layout::window, &llmir_cache_layout::num_sinks,
        &llmir_cache_layout::block_size}) {
    PagedKVCache cache(windowed, 2);
    llmir_cache_layout other = compiled;
    other.*field += 1;
    EXPECT_EQ(llmir_rt_cache_base(cache.handle(), &other), nullptr);
    EXPECT_FALSE(cache.status().isOk());
  }
}

TEST(CacheABITest, RefusesUnknownSequencesAndNullHandles) {
  PagedKVCache cache(1, 1, 2, 4, 16, ElementType::F16, 2);
  int32_t id = 1, number = 5;
  EXPECT_EQ(llmir_rt_cache_block_table(cache.handle(), &id, 1, 1, &number),
            static_cast<int32_t>(StatusCode::NotFound));
  EXPECT_EQ(number, 0);
  EXPECT_EQ(llmir_rt_cache_append(nullptr, &id, 1, 1, &number, &number),
            static_cast<int32_t>(StatusCode::InvalidArgument));
  EXPECT_EQ(llmir_rt_cache_block_table(nullptr, &id, 1, 1, &number),
            static_cast<int32_t>(StatusCode::InvalidArgument));
  EXPECT_EQ(llmir_rt_cache_base(nullptr, &cache.layout()), nullptr);
}
