// BlockSizeAdvice and AdaptiveBlockManager: covers and costs by hand, advice that fits the workload
// and says why, runs of pool blocks, adaptation, exhaustion; waste on conversations.

#include "llmir/Cache/AdaptiveBlockManager.h"

#include "ConversationLengths.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

using namespace llmir;
using ::testing::HasSubstr;

namespace {

AdaptiveBlockManager makeManager(const BlockSizeConfig &sizes, const AdaptationConfig &config,
                                 int64_t numTokens, int64_t maxSeqLen = 4096) {
  return AdaptiveBlockManager(1, 1, 8, sizes, config,
                              {.maxSeqLen = maxSeqLen, .numTokens = numTokens});
}

std::vector<int64_t> capacities(const std::vector<KVBlock *> &blocks) {
  std::vector<int64_t> result;
  for (const KVBlock *block : blocks)
    result.push_back(block->capacity);
  return result;
}

std::vector<int64_t> conversations() {
  return {std::begin(llmir::testing::conversationLengths),
          std::end(llmir::testing::conversationLengths)};
}

} // namespace

TEST(BlockSizeAdviceTest, CountsBlocksAndSlack) {
  BlockSizeConfig sizes;
  BlockCover cover = coverLength(64 + 32 + 5, sizes);
  EXPECT_EQ(cover.large, 1);
  EXPECT_EQ(cover.primary, 2);
  EXPECT_EQ(cover.small, 2);
  std::vector<int64_t> lengths = {101, 64};
  BlockSizeCost cost = costOf(sizes, lengths);
  EXPECT_EQ(cost.slackTokens, 1.5);
  EXPECT_EQ(cost.blocks, 3);
  EXPECT_DOUBLE_EQ(cost.slackFraction, 3.0 / 168);
}

TEST(BlockSizeAdviceTest, FitsTheWorkload) {
  BlockSizeConfig current;
  AdaptationConfig config;
  std::vector<int64_t> lengths(50, 256);
  BlockSizeAdvice advice = adviseBlockSizes(lengths, current, config);
  EXPECT_EQ(advice.sizes.largeBlockSize, 256);
  EXPECT_EQ(advice.cost.blocks, 1);
  EXPECT_EQ(advice.cost.slackTokens, 0);
  EXPECT_THAT(advice.reason, HasSubstr("50 sequences had a median of 256 tokens"));
  EXPECT_THAT(advice.reason, HasSubstr("in place of blocks of 4, 16 and 64 tokens"));
  EXPECT_THAT(advice.reason, HasSubstr("1.0 blocks a sequence and 0.00 % of memory unused"));

  lengths = {3, 5, 6, 7, 9, 11};
  advice = adviseBlockSizes(lengths, current, config);
  EXPECT_EQ(advice.sizes.smallBlockSize, 4);
  EXPECT_LE(advice.cost.total(config), costOf(current, lengths).total(config));
  // No triple costs less than what is advised.
  for (int64_t small : {4, 8, 16, 32})
    for (int64_t primary : {4, 8, 16, 32})
      if (primary >= small)
        EXPECT_LE(advice.cost.total(config),
                  costOf({primary, small, 64}, lengths).total(config) + 1e-9);
  EXPECT_EQ(adviseBlockSizes({}, current, config).sizes, current);
  EXPECT_THAT(adviseBlockSizes({}, current, config).reason, HasSubstr("no sequence has ended"));
  EXPECT_EQ(adviseBlockSizes(lengths, current, config, 16).sizes.smallBlockSize, 16);
}

TEST(AdaptiveBlockManagerTest, CoversLengthsByPolicy) {
  AdaptationConfig config;
  std::vector<KVBlock *> blocks;
  config.policy = AdaptationPolicy::STATIC;
  AdaptiveBlockManager fixed = makeManager({}, config, 1024);
  ASSERT_TRUE(fixed.status().isOk()) << fixed.status().message();
  ASSERT_TRUE(fixed.allocateBlocksForSequence(1, 37, blocks).isOk());
  EXPECT_EQ(capacities(blocks), (std::vector<int64_t>{16, 16, 16}));

  config.policy = AdaptationPolicy::REACTIVE;
  AdaptiveBlockManager reactive = makeManager({}, config, 1024);
  ASSERT_TRUE(reactive.allocateBlocksForSequence(1, 101, blocks).isOk());
  EXPECT_EQ(capacities(blocks), (std::vector<int64_t>{64, 16, 16, 4, 4}));
  // Growing keeps what is there.
  std::vector<KVBlock *> before = blocks;
  ASSERT_TRUE(reactive.allocateBlocksForSequence(1, 104, blocks).isOk());
  EXPECT_EQ(blocks, before);
  ASSERT_TRUE(reactive.allocateBlocksForSequence(1, 170, blocks).isOk());
  EXPECT_EQ(capacities(blocks), (std::vector<int64_t>{64, 16, 16, 4, 4, 64, 4}));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), blocks.begin()));

  config.policy = AdaptationPolicy::PREDICTIVE;
  AdaptiveBlockManager predictive = makeManager({}, config, 1024);
  ASSERT_TRUE(predictive.allocateBlocksForSequence(1, 10, blocks).isOk());
  EXPECT_EQ(capacities(blocks), (std::vector<int64_t>{4, 4, 4}));
  ASSERT_TRUE(predictive.recordSequenceComplete(1, 100).isOk());
  ASSERT_TRUE(predictive.allocateBlocksForSequence(2, 10, blocks).isOk());
  EXPECT_EQ(capacities(blocks), (std::vector<int64_t>{64}));
}

TEST(AdaptiveBlockManagerTest, LargeBlocksAreRunsOfPoolBlocks) {
  AdaptiveBlockManager manager = makeManager({}, {}, 256);
  std::vector<KVBlock *> blocks;
  ASSERT_TRUE(manager.allocateBlocksForSequence(7, 90, blocks).isOk());
  int64_t stride = manager.layout().block_stride, position = 0;
  EXPECT_EQ(manager.layout().block_size, 4);
  std::vector<int32_t> row(30, -1), expected;
  for (const KVBlock *block : blocks) {
    EXPECT_EQ(block->numPoolBlocks * 4, block->capacity);
    EXPECT_EQ(block->firstPoolBlock % block->numPoolBlocks, 0);
    EXPECT_EQ(block->firstPosition, position);
    EXPECT_EQ(block->data, manager.base() + block->firstPoolBlock * stride);
    position += block->capacity;
    for (int32_t i = 0; i < block->numPoolBlocks; ++i)
      expected.push_back(block->firstPoolBlock + i);
  }
  expected.resize(30, 0);
  ASSERT_TRUE(manager.copyBlockTable(7, row).isOk());
  EXPECT_EQ(row, expected);
  EXPECT_EQ(std::set<int32_t>(row.begin(), row.begin() + 23).size(), 23u);
  row.resize(22);
  EXPECT_EQ(manager.copyBlockTable(7, row).message(),
            "expected a table row of at least 23 blocks for sequence 7, but got 22");
  EXPECT_EQ(manager.numFreePoolBlocks(), 64 - 23);
}

TEST(AdaptiveBlockManagerTest, RefusesWithTheNumbersAndChangesNothing) {
  AdaptiveBlockManager manager = makeManager({}, {}, 64, 1024);
  std::vector<KVBlock *> blocks, more;
  ASSERT_TRUE(manager.allocateBlocksForSequence(1, 40, blocks).isOk());
  EXPECT_EQ(manager.allocateBlocksForSequence(2, 28, more).message(),
            "pool exhausted: sequence 2 needs 7 more pool blocks of 4 tokens, 6 free of 16");
  EXPECT_TRUE(more.empty());
  EXPECT_EQ(manager.numFreePoolBlocks(), 6);
  EXPECT_EQ(manager.recordSequenceComplete(2, 5).message(), "unknown sequence 2");
  EXPECT_EQ(manager.allocateBlocksForSequence(1, 1025, more).code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(manager.recordSequenceComplete(1, -1).code(), StatusCode::InvalidArgument);
  ASSERT_TRUE(manager.recordSequenceComplete(1, 38).isOk());
  EXPECT_EQ(manager.numFreePoolBlocks(), 16);
  EXPECT_EQ(manager.recordSequenceComplete(1, 38).code(), StatusCode::NotFound);
  EXPECT_EQ(manager.statistics().usedTokens, 38);
  EXPECT_EQ(manager.statistics().heldTokens, 40);

  EXPECT_EQ(makeManager({.primaryBlockSize = 12}, {}, 64).status().message(),
            "adaptive block manager: expected block sizes of which each is a power of two times "
            "the next smaller, but got small 4, primary 12 and large 64");
  EXPECT_FALSE(makeManager({}, {.minBlockSize = 3}, 64).status().isOk());
  EXPECT_FALSE(makeManager({}, {}, 3).status().isOk());
}

TEST(AdaptiveBlockManagerTest, UsesSmallerRunsWhenNoLargeOneIsFree) {
  AdaptiveBlockManager manager = makeManager({}, {}, 128);
  std::vector<KVBlock *> blocks;
  // Every other pool block stays in use.
  for (int32_t id = 0; id < 32; ++id)
    ASSERT_TRUE(manager.allocateBlocksForSequence(id, 4, blocks).isOk());
  for (int32_t id = 0; id < 32; id += 2)
    ASSERT_TRUE(manager.recordSequenceComplete(id, 4).isOk());
  ASSERT_TRUE(manager.allocateBlocksForSequence(100, 64, blocks).isOk());
  EXPECT_EQ(capacities(blocks), std::vector<int64_t>(16, 4));
  EXPECT_EQ(manager.numFreePoolBlocks(), 0);
}

TEST(AdaptiveBlockManagerTest, AdaptsToConversationsAndSaysWhy) {
  AdaptationConfig config;
  config.enableAutoTuning = true;
  config.policy = AdaptationPolicy::PREDICTIVE;
  AdaptiveBlockManager manager = makeManager({}, config, 1 << 20, 1 << 17);
  std::vector<int64_t> lengths = conversations();
  std::mt19937 random(1);
  std::shuffle(lengths.begin(), lengths.end(), random);
  std::vector<KVBlock *> blocks;
  AdaptationStatistics before;
  for (int round = 0; round < 3; ++round) {
    before = manager.statistics();
    for (size_t i = 0; i < lengths.size(); ++i) {
      auto id = static_cast<int32_t>(i);
      // The prompt is known, the answer grows.
      for (int64_t length : {lengths[i] * 9 / 10, lengths[i]})
        ASSERT_TRUE(manager.allocateBlocksForSequence(id, length, blocks).isOk());
      ASSERT_TRUE(manager.recordSequenceComplete(id, lengths[i]).isOk());
    }
  }
  EXPECT_GT(manager.statistics().adaptations, 0);
  EXPECT_EQ(manager.currentConfig().largeBlockSize, 256);
  EXPECT_EQ(manager.currentConfig().smallBlockSize, 4);
  EXPECT_THAT(manager.explanation(), HasSubstr("sequences had a median of"));
  EXPECT_EQ(manager.getRecommendedConfig(), manager.advise().sizes);
  // After adapting: less memory unused than fixed blocks of 16 leave, in a tenth of the blocks.
  int64_t used = manager.statistics().usedTokens - before.usedTokens;
  int64_t held = manager.statistics().heldTokens - before.heldTokens;
  int64_t numBlocks = manager.statistics().blocks - before.blocks;
  BlockSizeCost fixed = costOf({16, 16, 16}, lengths);
  EXPECT_LT(double(held - used) / double(held), fixed.slackFraction);
  EXPECT_LT(double(numBlocks) / double(lengths.size()), fixed.blocks / 10);
  // What the issue asks of blocks of 16: at most 0.1 % on conversations.
  EXPECT_LE(fixed.slackFraction, 0.001);
}

TEST(AdaptiveBlockManagerTest, LearnsShortRequests) {
  AdaptationConfig config;
  config.enableAutoTuning = true;
  config.tuningInterval = 10;
  AdaptiveBlockManager manager = makeManager({}, config, 4096);
  std::vector<KVBlock *> blocks;
  for (int32_t id = 0; id < 40; ++id) {
    ASSERT_TRUE(manager.allocateBlocksForSequence(id, 8, blocks).isOk());
    ASSERT_TRUE(manager.recordSequenceComplete(id, 8).isOk());
  }
  ASSERT_TRUE(manager.allocateBlocksForSequence(99, 8, blocks).isOk());
  EXPECT_EQ(capacities(blocks), std::vector<int64_t>{8});
}
