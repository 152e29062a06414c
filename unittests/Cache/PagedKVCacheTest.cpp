// PagedKVCache: reservation, block tables, truncation, forks, and every refusal.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

using namespace llmir;

namespace {

constexpr SequenceId a{10}, b{-3};

/// One layer, one head of two channels, blocks of 4 tokens, sequences of at most 10.
PagedKVCache makeCache(int64_t numBlocks) {
  return PagedKVCache(1, 1, 2, 4, 10, ElementType::F16, numBlocks);
}

Status reserve(PagedKVCache &cache, std::vector<AppendRequest> requests) {
  CacheStepTables tables;
  return cache.reserve(requests, tables);
}

} // namespace

TEST(PagedKVCacheTest, GivesSlotsAcrossBlockBoundaries) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  CacheStepTables tables;
  std::vector<AppendRequest> requests = {{a, 3}, {b, 1}};
  ASSERT_TRUE(cache.reserve(requests, tables).isOk());
  EXPECT_EQ(tables.slots, (std::vector<int32_t>{0, 1, 2, 4}));
  EXPECT_EQ(tables.tableStride, 1);
  EXPECT_EQ(tables.table, (std::vector<int32_t>{0, 1}));

  requests = {{b, 2}, {a, 2}};
  ASSERT_TRUE(cache.reserve(requests, tables).isOk());
  EXPECT_EQ(tables.slots, (std::vector<int32_t>{5, 6, 3, 8}));
  EXPECT_EQ(tables.tableStride, 2);
  EXPECT_EQ(tables.table, (std::vector<int32_t>{1, 0, 0, 2}));
  EXPECT_EQ(*cache.length(a), 5);
  EXPECT_EQ(*cache.slot(a, 4), 8);
  llmir_cache_view view = tables.view(cache.base());
  EXPECT_EQ(view.base, cache.base());
  EXPECT_EQ(view.table_stride, 2);
  EXPECT_EQ(view.slots[0], 5);
}

TEST(PagedKVCacheTest, IsAllOrNothingWhenThePoolIsFull) {
  PagedKVCache cache = makeCache(3);
  ASSERT_TRUE(reserve(cache, {{a, 4}}).isOk());
  Status status = reserve(cache, {{b, 4}, {a, 5}});
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), "block pool exhausted: need 3 blocks, 2 free of 3");
  EXPECT_FALSE(cache.contains(b));
  EXPECT_EQ(*cache.length(a), 4);
  EXPECT_EQ(cache.pool().numFree(), 2);
  EXPECT_TRUE(reserve(cache, {{b, 4}, {a, 4}}).isOk());
  EXPECT_EQ(cache.pool().numFree(), 0);
}

TEST(PagedKVCacheTest, RefusesTooLongSequences) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, {{a, 10}}).isOk());
  EXPECT_EQ(reserve(cache, {{a, 1}}).message(),
            "sequence 10 is full: has 10 tokens, cannot take 1 more of at most 10");
  EXPECT_EQ(reserve(cache, {{b, 11}}).code(), StatusCode::ResourceExhausted);
  EXPECT_FALSE(cache.contains(b));
  EXPECT_TRUE(reserve(cache, {{a, 0}}).isOk());
}

TEST(PagedKVCacheTest, RefusesBadRequests) {
  PagedKVCache cache = makeCache(8);
  EXPECT_EQ(reserve(cache, {{a, -1}}).message(),
            "expected 0 or more tokens for sequence 10, but got -1");
  EXPECT_EQ(reserve(cache, {{a, 1}, {b, 1}, {a, 1}}).message(),
            "expected each sequence once, but got sequence 10 twice");
  EXPECT_EQ(cache.numSequences(), 0u);
}

TEST(PagedKVCacheTest, RefusesUnknownSequences) {
  PagedKVCache cache = makeCache(8);
  std::vector<int32_t> row(3);
  for (Status status :
       {cache.truncate(a, 0), cache.freeSequence(a), cache.fork(a, b), cache.length(a).status(),
        cache.blocks(a).status(), cache.slot(a, 0).status(), cache.copyBlockTable(a, row)}) {
    EXPECT_EQ(status.code(), StatusCode::NotFound);
    EXPECT_EQ(status.message(), "unknown sequence 10");
  }
}

TEST(PagedKVCacheTest, TruncatesAndFreesOnce) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, {{a, 9}}).isOk());
  EXPECT_EQ(cache.pool().numFree(), 5);
  ASSERT_TRUE(cache.truncate(a, 8).isOk());
  EXPECT_EQ(cache.pool().numFree(), 6);
  ASSERT_TRUE(cache.truncate(a, 5).isOk());
  EXPECT_EQ(cache.pool().numFree(), 6);
  EXPECT_EQ(cache.truncate(a, 6).message(),
            "expected a length of 0 to 5 for sequence 10, but got 6");
  EXPECT_EQ(cache.slot(a, 5).status().message(),
            "expected a position below 5 in sequence 10, but got 5");
  EXPECT_EQ(cache.blocksNeeded(a, 3), 0);
  EXPECT_EQ(cache.blocksNeeded(a, 4), 1);
  EXPECT_EQ(cache.blocksNeeded(b, 4), 1);
  ASSERT_TRUE(cache.freeSequence(a).isOk());
  EXPECT_EQ(cache.pool().numFree(), 8);
  EXPECT_EQ(cache.freeSequence(a).code(), StatusCode::NotFound);
}

TEST(PagedKVCacheTest, ForksShareBlocksUntilOneWrites) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, {{a, 6}}).isOk());
  cache.base()[cache.layout().block_stride] = 42; // the second block
  ASSERT_TRUE(cache.fork(a, b).isOk());
  EXPECT_EQ(cache.fork(a, b).message(), "cannot fork into sequence -3: it exists");
  EXPECT_EQ(cache.pool().numFree(), 6);
  EXPECT_EQ(cache.blocksNeeded(b, 1), 1);

  ASSERT_TRUE(reserve(cache, {{b, 1}}).isOk());
  EXPECT_EQ(cache.pool().numFree(), 5);
  BlockId ofA = (*cache.blocks(a))[1], ofB = (*cache.blocks(b))[1];
  EXPECT_NE(ofA, ofB);
  EXPECT_EQ((*cache.blocks(a))[0], (*cache.blocks(b))[0]);
  EXPECT_EQ(cache.base()[ofB.index * cache.layout().block_stride], 42);
  EXPECT_EQ(cache.blocksNeeded(a, 1), 0);

  ASSERT_TRUE(cache.freeSequence(a).isOk());
  EXPECT_EQ(cache.pool().numFree(), 6);
  ASSERT_TRUE(cache.freeSequence(b).isOk());
  EXPECT_EQ(cache.pool().numFree(), 8);
}

TEST(PagedKVCacheTest, RefusesShortTableRows) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, {{a, 9}}).isOk());
  std::vector<int32_t> row = {9, 9, 9, 9};
  EXPECT_EQ(cache.copyBlockTable(a, {row.data(), 2}).message(),
            "expected a table row of at least 3 blocks for sequence 10, but got 2");
  ASSERT_TRUE(cache.copyBlockTable(a, row).isOk());
  EXPECT_EQ(row, (std::vector<int32_t>{0, 1, 2, 0}));
}

TEST(PagedKVCacheTest, BlockIdsGoStaleWithTheirSequence) {
  PagedKVCache cache = makeCache(1);
  ASSERT_TRUE(reserve(cache, {{a, 1}}).isOk());
  BlockId old = (*cache.blocks(a))[0];
  ASSERT_TRUE(cache.freeSequence(a).isOk());
  ASSERT_TRUE(reserve(cache, {{b, 1}}).isOk());
  EXPECT_EQ((*cache.blocks(b))[0].index, old.index);
  EXPECT_FALSE(cache.pool().isLive(old));
}

TEST(PagedKVCacheTest, KeepsTheStatusOfAFailedConstructor) {
  PagedKVCache cache(0, 1, 2, 4, 10, ElementType::F16);
  EXPECT_EQ(cache.status().message(),
            "paged KV cache: expected 'num_layers' to be 1 to 1048576, but got 0");
  std::vector<int32_t> row(1);
  for (Status status :
       {reserve(cache, {{a, 1}}), cache.truncate(a, 0), cache.freeSequence(a), cache.fork(a, b),
        cache.length(a).status(), cache.appendKV(nullptr, nullptr, 0, 0, nullptr, nullptr),
        cache.lookupKV(nullptr, nullptr, 0, nullptr, nullptr), cache.copyBlockTable(a, row)})
    EXPECT_EQ(status.message(), cache.status().message());
  EXPECT_NE(makeCache(0).status().message().find("blocks, but got 0"), std::string::npos);
  PagedKVCache tooLarge(1, 1, 64, 16, 16, ElementType::F32, int64_t(1) << 40);
  EXPECT_EQ(tooLarge.status().code(), StatusCode::InvalidArgument);
}

TEST(PagedKVCacheTest, HoldsAFullSequenceByDefault) {
  PagedKVCache cache(1, 1, 2, 4, 10, ElementType::BF16);
  EXPECT_EQ(cache.pool().numBlocks(), 12); // four sequences of three blocks
  EXPECT_EQ(cache.sizeInBytes(), static_cast<size_t>(12 * cache.layout().block_stride));
}
