// What lost data in other systems, each as one test that carries the number of the public report;
// docs/Scenarios.md lists all of them with those that are tested elsewhere.

#include "PrefixReplay.h"

#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/SpeculativeKVCache.h"

#include <gtest/gtest.h>

#include <random>

using namespace llmir;
using namespace llmir::model;

namespace {

using Kind = PrefixOperation::Kind;

CacheParameters parametersOf(int64_t blockSize, int64_t maxSeqLen) {
  CacheParameters parameters = smallStorage().parameters;
  parameters.blockSize = blockSize;
  parameters.maxSeqLen = maxSeqLen;
  return parameters;
}

/// A cache with a prefix tree and sequences whose contents follow from their tokens.
class ScenarioTest : public testing::Test {
protected:
  static constexpr int64_t blockSize = 4;

  /// Starts a sequence, computes what its prefix does not give, and returns what it gave.
  int64_t serve(int32_t id, const std::vector<int32_t> &prompt, const PrefixNamespace &space = {}) {
    StatusOr<int64_t> cached = cache.startSequence(SequenceId{id}, prompt, space);
    EXPECT_TRUE(cached.isOk()) << cached.status().message();
    EXPECT_TRUE(append(id, int64_t(prompt.size()) - *cached).isOk());
    return *cached;
  }
  Status append(int32_t id, int64_t tokens) {
    std::vector<Tag> tags(size_t(tokens), 5);
    EncodedTags data = encodeTags(cache.cache().layout(), ElementType::F32, tags);
    return cache.appendKV(data.keys.data(), data.values.data(), 1, tokens, &id, nullptr);
  }
  void finish(int32_t id) { ASSERT_TRUE(cache.freeSequence(SequenceId{id}).isOk()); }
  int64_t numFree() { return cache.cache().pool().numFree(); }
  int64_t numCached() { return cache.getPrefixCache().statistics().memoryBlocks; }
  void TearDown() override {
    Status status = cache.checkInvariants();
    EXPECT_TRUE(status.isOk()) << status.message();
  }

  static constexpr int64_t numBlocks = 8;
  PrefixAwareKVCache cache{parametersOf(blockSize, 32), {}, numBlocks};
  const std::vector<int32_t> longPrompt = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13};
};

} // namespace

TEST_F(ScenarioTest, VLLM50702_37076_39146_Int8WithPrefixCacheInAFullPool) {
  PrefixSizes sizes{8, 5, 4, 24, 0, 4, {}};
  CacheStorage storage = smallStorage();
  storage.parameters.keyType = storage.parameters.valueType = ElementType::I8;
  storage.parameters.keyScales = storage.parameters.valueScales = ScaleGranularity::Token;
  PrefixReplay replay(sizes, storage);
  std::mt19937 random(50702);
  int full = 0;
  for (int i = 0; i < 4000; ++i) {
    PrefixOperation operation =
        replay.model().choose([&](int bound) { return int(random() % unsigned(bound)); });
    // Every sequence and every known block is read back after each operation.
    ASSERT_EQ(replay.step(operation), "") << i << ": " << describe(operation);
    ASSERT_EQ(replay.compare(), "") << i << ": " << describe(operation);
    full += replay.model().pool.free.empty() ? 1 : 0;
  }
  EXPECT_GT(full, 1000);
}

TEST_F(ScenarioTest, VLLM18411_APreemptedRequestGivesBackEveryBlock) {
  serve(1, longPrompt);
  ASSERT_TRUE(append(1, 6).isOk());
  EXPECT_EQ(numFree(), numBlocks - 5);
  finish(1);
  EXPECT_EQ(numFree() + numCached(), numBlocks);
  // What it had computed of the prompt serves it again.
  EXPECT_EQ(serve(1, longPrompt), 12);
}

TEST_F(ScenarioTest, SGLang35270_27586_11970_ASharedPageIsCountedOnce) {
  serve(1, longPrompt);
  std::vector<int32_t> other = longPrompt;
  other[9] = 99;
  EXPECT_EQ(serve(2, other), 9);
  // Two blocks are shared, the third and the last are each one's own.
  EXPECT_EQ(numFree(), numBlocks - 2 - 4);
  EXPECT_EQ(numCached(), 4);
  finish(1);
  finish(2);
  EXPECT_EQ(numFree() + numCached(), numBlocks);
  EXPECT_EQ(numCached(), 4);
}

TEST_F(ScenarioTest, SGLang4987_EvictionMovesCounterAndQueueTogether) {
  PrefixTree &tree = cache.getPrefixCache();
  serve(1, longPrompt);
  PrefixKeyChain pinned(PrefixNamespace(), blockSize);
  pinned.extend(std::vector<int32_t>{50, 51, 52, 53});
  serve(2, {50, 51, 52, 53, 54});
  finish(2);
  ASSERT_TRUE(tree.pin(pinned).isOk());
  // One block is pinned, three are a live sequence's: nothing may go.
  EXPECT_EQ(tree.evict(numBlocks), 0);
  EXPECT_EQ(tree.statistics().memoryBlocks, 4);
  finish(1);
  EXPECT_EQ(tree.evict(2), 2);
  EXPECT_EQ(tree.statistics().memoryBlocks, 2);
  EXPECT_EQ(tree.statistics().evictionCandidates, 1);
  EXPECT_EQ(tree.evict(numBlocks), 1);
  EXPECT_EQ(tree.statistics().memoryBlocks, 1);
  EXPECT_EQ(numFree(), numBlocks - 1);
}

TEST_F(ScenarioTest, TensorRTLLM15018_AParentWithChildrenInUseStays) {
  PrefixTree &tree = cache.getPrefixCache();
  serve(1, {1, 2, 3, 4, 5});
  finish(1);
  serve(2, longPrompt); // Its second and third block are behind the first.
  EXPECT_EQ(tree.evict(numBlocks), 0);
  finish(2);
  int64_t depth = 3;
  while (depth > 0) {
    ASSERT_EQ(tree.evict(1), 1);
    --depth;
    // What is left is always the start of the prefix.
    EXPECT_EQ(tree.match(longPrompt).length, depth * blockSize);
  }
}

TEST_F(ScenarioTest, TensorRTLLM2217_TheLastTokenIsAlwaysComputed) {
  serve(1, longPrompt);
  finish(1);
  for (size_t length = 1; length <= longPrompt.size(); ++length) {
    std::vector<int32_t> prompt(longPrompt.begin(), longPrompt.begin() + int64_t(length));
    EXPECT_EQ(cache.getPrefixCache().match(prompt).length,
              std::min<int64_t>(int64_t(length) - 1, 12));
  }
}

TEST_F(ScenarioTest, TenantsWithDifferentSaltsShareNothing) {
  serve(1, longPrompt, {.salt = "one"});
  finish(1);
  EXPECT_EQ(cache.getPrefixCache().match(longPrompt, {.salt = "two"}).length, 0);
  EXPECT_EQ(cache.getPrefixCache().match(longPrompt).length, 0);
  EXPECT_EQ(cache.getPrefixCache().match(longPrompt, {.salt = "one", .adapterId = 1}).length, 0);
  EXPECT_EQ(cache.getPrefixCache().match(longPrompt, {.salt = "one"}).length, 12);
}

TEST_F(ScenarioTest, AFinishedRequestGoesBackTailFirst) {
  PagedKVCache plain(parametersOf(blockSize, 32), numBlocks);
  CacheStepTables tables;
  AppendRequest request{SequenceId{1}, 13};
  ASSERT_TRUE(plain.reserve({&request, 1}, tables).isOk());
  std::span<const BlockId> span = *plain.blocks(SequenceId{1});
  std::vector<BlockId> blocks(span.begin(), span.end());
  ASSERT_TRUE(plain.freeSequence(SequenceId{1}).isOk());
  // Four were free before; then come the request's, the last first.
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(plain.allocateBlock().isOk());
  for (size_t i = blocks.size(); i > 0; --i)
    EXPECT_EQ(plain.allocateBlock()->index, blocks[i - 1].index);
}

TEST_F(ScenarioTest, Shark1732_1923_AFullPoolIsAClearErrorAndGoesOn) {
  serve(1, std::vector<int32_t>(30, 1));
  Status status = append(1, 3); // 33 tokens, and at most 32 are allowed
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  StatusOr<int64_t> second = cache.startSequence(SequenceId{2}, longPrompt);
  ASSERT_TRUE(second.isOk());
  status = append(2, 13);
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), "block pool exhausted: need 4 blocks, 0 free of 8");
  // The first goes on, and the second does when there is room.
  EXPECT_TRUE(append(1, 2).isOk());
  finish(1);
  EXPECT_TRUE(append(2, 13).isOk());
}

TEST_F(ScenarioTest, LMCache4463_KeysAndValuesLaidOutOtherwiseAreRefused) {
  PagedKVCache plain(parametersOf(blockSize, 32), numBlocks);
  llmir_cache_layout fused = plain.layout();
  fused.value_offset = 0;
  fused.key_token_stride *= 2;
  EXPECT_EQ(llmir_rt_cache_base(plain.handle(), &fused), nullptr);
  EXPECT_FALSE(plain.status().isOk());
  EXPECT_NE(plain.status().message().find("value_offset"), std::string::npos)
      << plain.status().message();
}

TEST_F(ScenarioTest, ADraftRejectedAtItsFirstTokenLeavesNoTrace) {
  SpeculativeKVCache speculative(parametersOf(blockSize, 32), {}, numBlocks);
  PagedKVCache &plain = speculative.cache();
  std::vector<Tag> tags = {1, 2, 3, 4, 5, 6}, drafts = {7, 8, 9, 10};
  EncodedTags data = encodeTags(plain.layout(), ElementType::F32, tags);
  EncodedTags draft = encodeTags(plain.layout(), ElementType::F32, drafts);
  int32_t id = 1, branch = -1;
  ASSERT_TRUE(plain.appendKV(data.keys.data(), data.values.data(), 1, 6, &id, nullptr).isOk());
  std::span<const BlockId> span = *plain.blocks(SequenceId{id});
  std::vector<BlockId> before(span.begin(), span.end());
  ASSERT_TRUE(speculative.createBranch(id, branch).isOk());
  ASSERT_TRUE(speculative.appendSpeculativeKV(draft.keys.data(), draft.values.data(), id, 4, branch)
                  .isOk());
  std::vector<float> never(4, -1000);
  VerificationResult result;
  ASSERT_TRUE(speculative.verifySpeculation(id, branch, never.data(), 4, result).isOk());
  ASSERT_EQ(result.acceptedCount, 0);
  ASSERT_TRUE(speculative.commitSpeculation(id, branch, result.acceptedCount).isOk());
  span = *plain.blocks(SequenceId{id});
  EXPECT_EQ(std::vector<BlockId>(span.begin(), span.end()), before);
  EXPECT_EQ(*plain.length(SequenceId{id}), 6);
  EXPECT_EQ(plain.pool().numFree(), numBlocks - 2);
  EXPECT_EQ(plain.numSequences(), 1u);
  EXPECT_EQ(checkTags(plain, ElementType::F32, SequenceId{id}, tags), "");
}
