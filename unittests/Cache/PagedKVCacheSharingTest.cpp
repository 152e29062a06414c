// PagedKVCache: blocks owned apart from sequences, sequences attached to them, and the reclaimer
// that is asked before the cache is full.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

using namespace llmir;

namespace {

constexpr SequenceId a{1}, b{2}, c{3};

/// One layer, one head of two channels, blocks of 4 tokens, sequences of at most 20.
PagedKVCache makeCache(int64_t numBlocks) {
  return PagedKVCache(1, 1, 2, 4, 20, ElementType::F16, numBlocks);
}

Status reserve(PagedKVCache &cache, SequenceId sequence, int64_t tokens) {
  CacheStepTables tables;
  std::vector<AppendRequest> requests = {{sequence, tokens}};
  return cache.reserve(requests, tables);
}

std::vector<BlockId> blocksOf(const PagedKVCache &cache, SequenceId sequence) {
  std::span<const BlockId> blocks = *cache.blocks(sequence);
  return {blocks.begin(), blocks.end()};
}

/// Holds blocks and gives them back when asked.
class Holder : public BlockReclaimer {
public:
  explicit Holder(PagedKVCache &cache) : cache_(cache) {}

  void hold(SequenceId sequence) {
    for (BlockId block : blocksOf(cache_, sequence)) {
      ASSERT_TRUE(cache_.retainBlock(block).isOk());
      held.push_back(block);
    }
  }

  int64_t reclaim(int64_t blocks) override {
    asked.push_back(blocks);
    int32_t before = cache_.pool().numFree();
    while (!held.empty() && cache_.pool().numFree() - before < blocks) {
      EXPECT_TRUE(cache_.releaseBlock(held.back()).isOk());
      held.pop_back();
    }
    return cache_.pool().numFree() - before;
  }

  std::vector<BlockId> held;
  std::vector<int64_t> asked;

private:
  PagedKVCache &cache_;
};

} // namespace

TEST(PagedKVCacheSharingTest, AttachesToTheBlocksOfAnother) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, a, 10).isOk());
  std::vector<BlockId> blocks = blocksOf(cache, a);
  ASSERT_TRUE(cache.attach(b, std::span(blocks).first(2), 8).isOk());
  EXPECT_EQ(*cache.length(b), 8);
  EXPECT_EQ(cache.pool().numFree(), 5);
  EXPECT_EQ(*cache.pool().useCount(blocks[0]), 2);
  EXPECT_EQ(*cache.pool().useCount(blocks[2]), 1);
  EXPECT_TRUE(cache.checkInvariants().isOk());
  ASSERT_TRUE(cache.freeSequence(a).isOk());
  EXPECT_EQ(blocksOf(cache, b), (std::vector<BlockId>{blocks[0], blocks[1]}));
  ASSERT_TRUE(cache.freeSequence(b).isOk());
  EXPECT_EQ(cache.pool().numFree(), 8);
}

TEST(PagedKVCacheSharingTest, CopiesABlockThatWasAttachedInTheMiddle) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, a, 8).isOk());
  std::vector<BlockId> blocks = blocksOf(cache, a);
  std::span<uint8_t> second = *cache.blockBytes(blocks[1]);
  std::memset(second.data(), 7, second.size());
  ASSERT_TRUE(cache.attach(b, blocks, 6).isOk());
  EXPECT_EQ(cache.blocksNeeded(b, 1), 1);
  ASSERT_TRUE(reserve(cache, b, 1).isOk());
  BlockId copy = blocksOf(cache, b)[1];
  EXPECT_NE(copy, blocks[1]);
  EXPECT_EQ((*cache.blockBytes(copy))[0], 7);
  EXPECT_TRUE(cache.checkInvariants().isOk());
}

TEST(PagedKVCacheSharingTest, RefusesToAttachAndChangesNothing) {
  PagedKVCache cache = makeCache(8);
  ASSERT_TRUE(reserve(cache, a, 8).isOk());
  ASSERT_TRUE(reserve(cache, c, 4).isOk());
  std::vector<BlockId> blocks = blocksOf(cache, a);
  EXPECT_EQ(cache.attach(a, blocks, 8).message(), "cannot attach blocks to sequence 1: it exists");
  EXPECT_EQ(cache.attach(b, blocks, 9).message(),
            "expected 3 blocks for the 9 tokens of sequence 2, but got 2");
  EXPECT_EQ(cache.attach(b, blocks, 4).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(cache.attach(b, blocks, 21).code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(cache.attach(b, blocks, -1).code(), StatusCode::ResourceExhausted);
  std::vector<BlockId> stale = {blocks[0], blocksOf(cache, c)[0]};
  ASSERT_TRUE(cache.freeSequence(c).isOk());
  Status status = cache.attach(b, stale, 8);
  EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
  EXPECT_NE(status.message().find("to sequence 2: it is stale or free"), std::string::npos);
  EXPECT_FALSE(cache.contains(b));
  EXPECT_EQ(*cache.pool().useCount(blocks[0]), 1);
  EXPECT_FALSE(cache.blockBytes(stale[1]).isOk());
  EXPECT_TRUE(cache.attach(b, {}, 0).isOk());
  EXPECT_TRUE(cache.checkInvariants().isOk());
}

TEST(PagedKVCacheSharingTest, AsksTheReclaimerBeforeItIsFull) {
  PagedKVCache cache = makeCache(4);
  Holder holder(cache);
  cache.setReclaimer(&holder);
  ASSERT_TRUE(reserve(cache, a, 12).isOk());
  holder.hold(a);
  ASSERT_TRUE(cache.freeSequence(a).isOk());
  EXPECT_EQ(cache.pool().numFree(), 1);
  EXPECT_TRUE(cache.checkInvariants(holder.held).isOk());

  ASSERT_TRUE(reserve(cache, b, 4).isOk());
  EXPECT_TRUE(holder.asked.empty());
  ASSERT_TRUE(reserve(cache, b, 8).isOk());
  EXPECT_EQ(holder.asked, (std::vector<int64_t>{2}));
  EXPECT_EQ(holder.held.size(), 1u);

  Status status = reserve(cache, c, 8);
  EXPECT_EQ(status.message(), "block pool exhausted: need 2 blocks, 1 free of 4");
  EXPECT_FALSE(cache.contains(c));
  EXPECT_TRUE(cache.checkInvariants(holder.held).isOk());
}

TEST(PagedKVCacheSharingTest, NeedsNoCopyOfABlockThatItsHolderGaveUp) {
  PagedKVCache cache = makeCache(2);
  Holder holder(cache);
  cache.setReclaimer(&holder);
  ASSERT_TRUE(reserve(cache, a, 8).isOk());
  holder.hold(a);
  ASSERT_TRUE(cache.truncate(a, 6).isOk());
  BlockId last = blocksOf(cache, a)[1];
  ASSERT_TRUE(reserve(cache, a, 2).isOk());
  EXPECT_EQ(blocksOf(cache, a)[1], last);
  EXPECT_TRUE(holder.held.empty());
  EXPECT_TRUE(cache.checkInvariants().isOk());
}

TEST(PagedKVCacheSharingTest, FindsOwnersThatAreNotCounted) {
  PagedKVCache cache = makeCache(4);
  ASSERT_TRUE(reserve(cache, a, 4).isOk());
  BlockId block = blocksOf(cache, a)[0];
  ASSERT_TRUE(cache.retainBlock(block).isOk());
  EXPECT_EQ(cache.checkInvariants().message(), "block 0 counts 2 owners, but has 1");
  EXPECT_TRUE(cache.checkInvariants(std::vector<BlockId>{block}).isOk());
  StatusOr<BlockId> own = cache.allocateBlock();
  ASSERT_TRUE(own.isOk());
  EXPECT_TRUE(cache.checkInvariants(std::vector<BlockId>{block, *own}).isOk());
  EXPECT_TRUE(cache.releaseBlock(*own).isOk());
  EXPECT_FALSE(cache.releaseBlock(*own).isOk());
}
