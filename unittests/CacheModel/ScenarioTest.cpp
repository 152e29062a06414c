// What lost data in other systems, each as one test that carries the number of the public report;
// docs/Scenarios.md lists all of them with those that are tested elsewhere.

#include "PrefixReplay.h"

#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/SpeculativeKVCache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <limits>
#include <random>
#include <set>

using namespace llmir;
using namespace llmir::model;

namespace {

using Tokens = std::vector<int32_t>;
using Kind = PrefixOperation::Kind;

Tokens range(int32_t first, int32_t count) {
  Tokens tokens;
  for (int32_t i = 0; i < count; ++i)
    tokens.push_back(first + i);
  return tokens;
}

Tokens operator+(Tokens left, const Tokens &right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// A cache with a prefix tree. What a token writes is a function of its namespace and of all tokens
/// before it, so that a sequence which is given another's prefix is found out.
class ScenarioTest : public testing::Test {
protected:
  static constexpr int64_t blockSize = 4;
  static constexpr int64_t maxSeqLen = 32;

  static CacheParameters parameters(bool int8 = false) {
    CacheParameters parameters = smallStorage().parameters;
    parameters.blockSize = blockSize;
    parameters.maxSeqLen = maxSeqLen;
    if (int8) {
      parameters.keyType = parameters.valueType = ElementType::I8;
      parameters.keyScales = parameters.valueScales = ScaleGranularity::Token;
    }
    return parameters;
  }

  void make(int64_t blocks, const PrefixCacheConfig &config = {}, bool int8 = false) {
    owned = std::make_unique<PrefixAwareKVCache>(parameters(int8), config, blocks);
    ASSERT_TRUE(owned->status().isOk()) << owned->status().message();
  }
  void SetUp() override { make(8); }
  void TearDown() override { check(); }

  PrefixAwareKVCache &cache() { return *owned; }
  PagedKVCache &paged() { return owned->cache(); }
  PrefixTree &tree() { return owned->getPrefixCache(); }

  /// Every count agrees, and at idle every block is free or cached.
  void check() {
    Status status = cache().checkInvariants();
    ASSERT_TRUE(status.isOk()) << status.message();
    if (paged().numSequences() == 0) {
      EXPECT_EQ(numFree() + numCached(), paged().pool().numBlocks());
    }
  }

  /// Starts a sequence, computes what its prefix does not give, reads it back, and returns what it
  /// gave.
  int64_t serve(int32_t id, const Tokens &prompt, const PrefixNamespace &space = {}) {
    int64_t cached = start(id, prompt, space);
    EXPECT_TRUE(append(id, Tokens(prompt.begin() + cached, prompt.end())).isOk());
    expectReads(id);
    return cached;
  }
  int64_t start(int32_t id, const Tokens &prompt, const PrefixNamespace &space = {}) {
    StatusOr<int64_t> cached = cache().startSequence(SequenceId{id}, prompt, space);
    EXPECT_TRUE(cached.isOk()) << cached.status().message();
    int number = int(space.salt.size()) * 100 + int(space.adapterId);
    contents[id] = {number, Tokens(prompt.begin(), prompt.begin() + *cached)};
    return *cached;
  }
  Status append(int32_t id, const Tokens &tokens) {
    Path path = contents[id];
    path.tokens.insert(path.tokens.end(), tokens.begin(), tokens.end());
    std::vector<Tag> tags = tagsOf(path);
    tags.erase(tags.begin(), tags.end() - int64_t(tokens.size()));
    EncodedTags data = encodeTags(paged().layout(), ElementType::F32, tags);
    Status status = cache().appendKV(data.keys.data(), data.values.data(), 1,
                                     int64_t(tokens.size()), &id, nullptr);
    if (status)
      contents[id] = path;
    return status;
  }
  void expectReads(int32_t id) {
    EXPECT_EQ(checkTags(paged(), ElementType::F32, SequenceId{id}, tagsOf(contents[id])), "");
  }
  void finish(int32_t id) {
    ASSERT_TRUE(cache().freeSequence(SequenceId{id}).isOk());
    contents.erase(id);
    check();
  }
  PrefixKeyChain chain(const Tokens &tokens) {
    PrefixKeyChain keys(PrefixNamespace(), blockSize);
    keys.extend(tokens);
    return keys;
  }
  std::vector<BlockId> blocksOf(int32_t id) {
    std::span<const BlockId> blocks = *paged().blocks(SequenceId{id});
    return {blocks.begin(), blocks.end()};
  }
  int64_t numFree() { return paged().pool().numFree(); }
  int64_t numCached() { return tree().statistics().memoryBlocks; }

  std::unique_ptr<PrefixAwareKVCache> owned;
  std::map<int32_t, Path> contents;
  const Tokens longPrompt = range(1, 13);
};

} // namespace

TEST_F(ScenarioTest, VLLM50702_37076_39146_Int8WithPrefixCacheInAFullPool) {
  PrefixSizes sizes{8, 5, 4, 24, 0, 4, {}};
  CacheStorage storage = smallStorage();
  storage.parameters = parameters(true);
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

// The same through the class that a server uses, which preempts the oldest when the pool is full.
TEST_F(ScenarioTest, VLLM50702_37076_39146_RequestsThatPreemptEachOther) {
  make(10, {}, true);
  std::mt19937 random(1);
  int full = 0, hits = 0;
  for (int32_t i = 0; i < 1500; ++i) {
    Tokens prompt;
    for (int32_t t = 0, count = 5 + int32_t(random() % 11); t < count; ++t)
      prompt.push_back(t / 4 * 100 + 1 + int32_t(random() % 20 / 17));
    int64_t cached = start(i, prompt);
    hits += cached > 0 ? 1 : 0;
    while (!append(i, Tokens(prompt.begin() + cached, prompt.end())).isOk()) {
      ASSERT_NE(contents.begin()->first, i);
      finish(contents.begin()->first);
    }
    full += numFree() == 0 ? 1 : 0;
    for (const auto &[id, path] : contents)
      expectReads(id);
    check();
  }
  EXPECT_GT(full, 500);
  EXPECT_GT(hits, 500);
}

TEST_F(ScenarioTest, VLLM18411_APreemptedRequestGivesBackEveryBlock) {
  for (int64_t evicted : {0, 2, 8}) {
    serve(1, longPrompt);
    ASSERT_TRUE(append(1, range(70, 6)).isOk());
    EXPECT_EQ(numFree() + numCached(), 8 - 2); // Those after the prompt are its own.
    finish(1);
    EXPECT_EQ(numFree() + tree().countEvictable(), 8);
    tree().evict(evicted);
    // What is left of it serves it again, and the rest is as before.
    EXPECT_EQ(serve(1, longPrompt), evicted == 0 ? 12 : evicted == 2 ? 4 : 0);
    finish(1);
  }
}

TEST_F(ScenarioTest, SGLang35270_27586_11970_ASharedPageIsCountedOnce) {
  serve(1, longPrompt);
  Tokens other = longPrompt;
  other[9] = 99;
  EXPECT_EQ(serve(2, other), 9);
  // Two blocks are shared, the third and the last are each one's own.
  EXPECT_EQ(numFree(), 8 - 2 - 4);
  EXPECT_EQ(numCached(), 4);
  finish(1);
  finish(2);
  EXPECT_EQ(numCached(), 4);
  make(24);
  for (int32_t i = 0; i < 30; ++i) {
    serve(1, range(0, 8) + range(100 + i % 5, 9));
    finish(1); // Free and cached blocks are all there are.
    std::set<int32_t> different;
    tree().visit([&](const PrefixBlockView &view) { different.insert(view.block->index); });
    EXPECT_EQ(int64_t(different.size()), numCached());
  }
}

TEST_F(ScenarioTest, SGLang4987_EvictionMovesCounterAndQueueTogether) {
  make(24);
  for (int32_t first : {0, 100, 200}) {
    serve(1, range(first, 12));
    finish(1);
  }
  ASSERT_TRUE(tree().pin(chain(range(100, 8))).isOk());
  serve(1, range(200, 8) + Tokens{7});
  // Of nine blocks two are pinned and two a live sequence's.
  for (int64_t evictable = 5; evictable > 0; --evictable) {
    EXPECT_EQ(tree().countEvictable(), evictable);
    int64_t before = numFree();
    EXPECT_EQ(tree().evict(1), 1);
    EXPECT_EQ(numFree(), before + 1);
    EXPECT_EQ(numCached(), 4 + evictable - 1);
    check();
  }
  EXPECT_EQ(tree().evict(24), 0);
  EXPECT_EQ(numCached(), 4);
  expectReads(1);
  EXPECT_EQ(tree().match(range(100, 12)).length, 8);
  finish(1);
  EXPECT_EQ(tree().statistics().evictionCandidates, 1);
  EXPECT_EQ(tree().evict(24), 2);
  EXPECT_EQ(numCached(), 2);
  ASSERT_TRUE(tree().unpin(chain(range(100, 8))).isOk());
  EXPECT_EQ(tree().evict(24), 2);
  EXPECT_EQ(numCached(), 0);
}

TEST_F(ScenarioTest, TensorRTLLM15018_AParentWithChildrenInUseStays) {
  serve(1, {1, 2, 3, 4, 5});
  finish(1);
  serve(2, longPrompt); // Its second and third block are behind the first.
  EXPECT_EQ(tree().evict(8), 0);
  finish(2);
  for (int64_t depth = 2; depth >= 0; --depth) {
    ASSERT_EQ(tree().evict(1), 1);
    // What is left is always the start of the prefix.
    EXPECT_EQ(tree().match(longPrompt).length, depth * blockSize);
  }
}

TEST_F(ScenarioTest, TensorRTLLM15018_AParentStaysWithADiskToo) {
  PrefixCacheConfig config;
  config.storePath = testing::TempDir() + "llmir-scenario-" + std::to_string(getpid());
  config.storeBlocks = 3;
  make(16, config);
  for (int32_t tail : {50, 60}) {
    serve(1, range(0, 8) + range(tail, 4));
    finish(1);
  }
  serve(1, range(0, 8) + range(60, 4) + Tokens{1});
  for (int i = 0; i < 5; ++i) {
    tree().evict(1);
    check(); // finds orphans
  }
  EXPECT_EQ(tree().match(range(0, 8) + range(60, 5)).length, 12);
  expectReads(1);
  // The other tail comes back from the disk.
  EXPECT_EQ(serve(2, range(0, 8) + range(50, 5)), 12);
}

TEST_F(ScenarioTest, TensorRTLLM2217_TheLastTokenIsAlwaysComputed) {
  make(32);
  serve(1, range(0, 32));
  finish(1);
  for (int32_t length = 1; length <= 40; ++length)
    EXPECT_EQ(tree().match(range(0, length)).length, std::min(length - 1, 32));
}

TEST_F(ScenarioTest, TenantsWithDifferentSaltsShareNothing) {
  serve(1, longPrompt, {.salt = "one"});
  finish(1);
  EXPECT_EQ(tree().match(longPrompt, {.salt = "three"}).length, 0);
  EXPECT_EQ(tree().match(longPrompt).length, 0);
  EXPECT_EQ(tree().match(longPrompt, {.salt = "one", .adapterId = 1}).length, 0);
  // Not even the start of a block.
  EXPECT_EQ(serve(1, range(1, 3) + range(90, 5)), 0);
  finish(1);
  EXPECT_EQ(tree().match(longPrompt, {.salt = "one"}).length, 12);
}

TEST_F(ScenarioTest, AFinishedRequestGoesBackTailFirst) {
  PagedKVCache plain(parameters(), 8);
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
  serve(1, range(1, 30));
  Status status = append(1, range(31, 3)); // 33 tokens, and at most 32 are allowed
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  // Three shared blocks and the first token of the fourth, which is copied before it is written.
  ASSERT_EQ(start(2, longPrompt + Tokens{99}), 13);
  ASSERT_TRUE(append(1, {31, 32}).isOk());
  status = append(2, {99});
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), "block pool exhausted: need 1 block, 0 free of 8");
  status = append(3, range(50, 13));
  EXPECT_EQ(status.message(), "block pool exhausted: need 4 blocks, 0 free of 8");
  EXPECT_FALSE(paged().contains(SequenceId{3}));
  expectReads(1);
  expectReads(2);
  // The others go on when there is room.
  finish(1);
  EXPECT_TRUE(append(2, {99}).isOk());
  expectReads(2);
}

TEST_F(ScenarioTest, LMCache4463_KeysAndValuesLaidOutOtherwiseAreRefused) {
  PagedKVCache plain(parameters(), 8);
  llmir_cache_layout fused = plain.layout();
  fused.value_offset = 0;
  fused.key_token_stride *= 2;
  EXPECT_EQ(llmir_rt_cache_base(plain.handle(), &fused), nullptr);
  EXPECT_FALSE(plain.status().isOk());
  EXPECT_NE(plain.status().message().find("value_offset"), std::string::npos)
      << plain.status().message();
}

TEST_F(ScenarioTest, ADraftRejectedAtItsFirstTokenLeavesNoTrace) {
  SpeculativeKVCache speculative(parameters(), {}, 8);
  PagedKVCache &plain = speculative.cache();
  std::vector<Tag> tags = {1, 2, 3, 4, 5, 6}, drafts = {7, 8, 9, 10};
  EncodedTags data = encodeTags(plain.layout(), ElementType::F32, tags);
  EncodedTags draft = encodeTags(plain.layout(), ElementType::F32, drafts);
  int32_t id = 1, branch = -1;
  ASSERT_TRUE(plain.appendKV(data.keys.data(), data.values.data(), 1, 6, &id, nullptr).isOk());
  std::span<const BlockId> span = *plain.blocks(SequenceId{id});
  std::vector<BlockId> before(span.begin(), span.end());
  std::vector<std::vector<uint8_t>> bytes;
  for (BlockId block : before)
    bytes.emplace_back(plain.blockBytes(block)->begin(), plain.blockBytes(block)->end());
  ASSERT_TRUE(speculative.createBranch(id, branch).isOk());
  ASSERT_TRUE(speculative.appendSpeculativeKV(draft.keys.data(), draft.values.data(), id, 4, branch)
                  .isOk());
  std::vector<float> never(4, -std::numeric_limits<float>::infinity());
  VerificationResult result;
  ASSERT_TRUE(speculative.verifySpeculation(id, branch, never.data(), 4, result).isOk());
  ASSERT_EQ(result.acceptedCount, 0);
  ASSERT_TRUE(speculative.commitSpeculation(id, branch, result.acceptedCount).isOk());
  span = *plain.blocks(SequenceId{id});
  EXPECT_EQ(std::vector<BlockId>(span.begin(), span.end()), before);
  for (size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(std::ranges::equal(*plain.blockBytes(before[i]), bytes[i]));
  EXPECT_EQ(*plain.length(SequenceId{id}), 6);
  EXPECT_EQ(plain.pool().numFree(), 8 - 2);
  EXPECT_EQ(plain.numSequences(), 1u);
  EXPECT_EQ(checkTags(plain, ElementType::F32, SequenceId{id}, tags), "");
}
