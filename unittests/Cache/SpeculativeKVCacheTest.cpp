// SpeculativeKVCache: branches, trees, commits that move a path together, and rollbacks after which
// everything is as before.

#include "llmir/Cache/SpeculativeKVCache.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

using namespace llmir;

namespace {

using Tokens = std::vector<int32_t>;

constexpr int64_t numLayers = 2, numHeads = 2, headDim = 4, blockSize = 4, maxSeqLen = 40;
constexpr float certain = 0, impossible = -std::numeric_limits<float>::infinity();

class SpeculativeKVCacheTest : public testing::Test {
protected:
  void make(int64_t numBlocks, const SpeculativeConfig &config = {.enableTreeAttention = true}) {
    cache = std::make_unique<SpeculativeKVCache>(numLayers, numHeads, headDim, blockSize, maxSeqLen,
                                                 ElementType::F32, config, numBlocks);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
  }

  void TearDown() override {
    if (cache && cache->status()) {
      EXPECT_TRUE(cache->checkInvariants().isOk()) << cache->checkInvariants().message();
    }
  }

  static std::vector<float> dataOf(const Tokens &tokens) {
    std::vector<float> data;
    for (int64_t layer = 0; layer < numLayers; ++layer)
      for (int32_t token : tokens)
        for (int64_t i = 0; i < numHeads * headDim; ++i)
          data.push_back(float(token * 100 + layer * 10) + float(i) / 16);
    return data;
  }

  void append(int32_t sequence, const Tokens &tokens) {
    std::vector<float> data = dataOf(tokens);
    ASSERT_TRUE(
        cache->cache()
            .appendKV(data.data(), data.data(), 1, int64_t(tokens.size()), &sequence, nullptr)
            .isOk());
  }

  Status draft(int32_t sequence, int32_t branch, const Tokens &tokens) {
    std::vector<float> data = dataOf(tokens);
    return cache->appendSpeculativeKV(data.data(), data.data(), sequence, int64_t(tokens.size()),
                                      branch);
  }

  Status draft(int32_t sequence, int32_t branch, const Tokens &tokens, const Tokens &parents) {
    std::vector<float> data = dataOf(tokens);
    return cache->appendSpeculativeKV(data.data(), data.data(), sequence, parents, branch);
  }

  int32_t branch(int32_t sequence) {
    int32_t id = -1;
    EXPECT_TRUE(cache->createBranch(sequence, id).isOk());
    return id;
  }

  void expectReads(SequenceId sequence, const Tokens &tokens) {
    ASSERT_EQ(*cache->cache().length(sequence), int64_t(tokens.size()));
    std::vector<int32_t> blocks;
    for (size_t t = 0; t < tokens.size(); ++t)
      blocks.push_back(*cache->cache().slot(sequence, int64_t(t)) / int32_t(blockSize));
    std::vector<float> expected = dataOf(tokens), keys(expected.size()), values = keys;
    auto length = int32_t(tokens.size());
    ASSERT_TRUE(
        cache->cache().lookupKV(blocks.data(), &length, 1, keys.data(), values.data()).isOk());
    EXPECT_EQ(keys, expected);
    EXPECT_EQ(values, expected);
  }

  /// The state that a rollback must restore: blocks, length and every byte of them.
  struct Snapshot {
    std::vector<BlockId> blocks;
    std::vector<uint8_t> bytes;
    int32_t numFree;
    friend bool operator==(const Snapshot &, const Snapshot &) = default;
  };
  Snapshot snapshot(int32_t sequence) {
    Snapshot taken;
    std::span<const BlockId> blocks = *cache->cache().blocks(SequenceId{sequence});
    for (BlockId block : blocks) {
      taken.blocks.push_back(block);
      std::span<uint8_t> bytes = *cache->cache().blockBytes(block);
      taken.bytes.insert(taken.bytes.end(), bytes.begin(), bytes.end());
    }
    taken.numFree = cache->cache().pool().numFree();
    return taken;
  }

  std::unique_ptr<SpeculativeKVCache> cache;
};

} // namespace

TEST_F(SpeculativeKVCacheTest, CommitsWhatWasAccepted) {
  make(32);
  append(1, {1, 2, 3, 4, 5, 6});
  int32_t id = branch(1);
  ASSERT_TRUE(draft(1, id, {7, 8, 9, 10}).isOk());
  VerificationResult result;
  std::vector<float> logs = {certain, certain, impossible, certain};
  ASSERT_TRUE(cache->verifySpeculation(1, id, logs.data(), 4, result).isOk());
  EXPECT_EQ(result.acceptedCount, 2);
  expectReads(SequenceId{1}, {1, 2, 3, 4, 5, 6});
  ASSERT_TRUE(cache->commitSpeculation(1, id, result.acceptedCount).isOk());
  expectReads(SequenceId{1}, {1, 2, 3, 4, 5, 6, 7, 8});
  EXPECT_EQ(cache->numBranches(), 0);
  EXPECT_EQ(cache->cache().pool().numFree(), 30);
  append(1, {11, 12});
  expectReads(SequenceId{1}, {1, 2, 3, 4, 5, 6, 7, 8, 11, 12});
}

// A speculative draft rejected at its first token leaves cache and length exactly as before.
TEST_F(SpeculativeKVCacheTest, LeavesEverythingAsBeforeWhenTheFirstTokenIsRejected) {
  make(32);
  for (size_t length : {size_t(0), size_t(3), size_t(4), size_t(7)}) {
    Tokens tokens(length, 5);
    auto sequence = static_cast<int32_t>(length);
    append(sequence, tokens);
    Snapshot before = snapshot(sequence);
    for (bool commits : {true, false}) {
      int32_t id = branch(sequence);
      ASSERT_TRUE(draft(sequence, id, {8, 9, 10, 11, 12}).isOk());
      std::vector<float> logs(5, impossible);
      VerificationResult result;
      ASSERT_TRUE(cache->verifySpeculation(sequence, id, logs.data(), 5, result).isOk());
      EXPECT_EQ(result.acceptedCount, 0);
      ASSERT_TRUE((commits ? cache->commitSpeculation(sequence, id, result.acceptedCount)
                           : cache->rollbackSpeculation(sequence, id))
                      .isOk());
      EXPECT_EQ(snapshot(sequence), before);
    }
  }
}

TEST_F(SpeculativeKVCacheTest, MovesAPathOfATreeTogether) {
  make(32);
  append(1, {1, 2, 3});
  int32_t id = branch(1);
  //  10 ┬ 12 ─ 14 ─ 16
  //     └ 13 ─ 15
  //  11
  ASSERT_TRUE(draft(1, id, {10, 11, 12, 13}, {-1, -1, 0, 0}).isOk());
  ASSERT_TRUE(draft(1, id, {14, 15, 16}, {2, 3, 4}).isOk());
  const TokenTree *tree = *cache->branchTree(1, id);
  EXPECT_EQ(tree->mask(6), 0b1010101u);
  EXPECT_EQ(cache->commitSpeculation(1, id, 2).code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(cache->commitSpeculation(1, id, std::vector<int32_t>{0, 5}).code(),
            StatusCode::InvalidArgument);
  ASSERT_TRUE(cache->commitSpeculation(1, id, std::vector<int32_t>{0, 3, 5}).isOk());
  expectReads(SequenceId{1}, {1, 2, 3, 10, 13, 15});
}

TEST_F(SpeculativeKVCacheTest, VerifiesWithDistributions) {
  make(32);
  append(1, {1});
  int32_t id = branch(1);
  ASSERT_TRUE(draft(1, id, {0, 1}).isOk());
  std::vector<int32_t> tokens = {0, 1};
  std::vector<float> q = {1, 0, 0, 1}, p = {1, 0, 1, 0, 0, 1};
  VerificationResult result;
  ASSERT_TRUE(cache->verifySpeculation(1, id, {tokens, 2, q, p}, result).isOk());
  EXPECT_EQ(result.acceptedCount, 1);
  EXPECT_EQ(result.nextToken, 0);
}

TEST_F(SpeculativeKVCacheTest, DrawsTheSameNumbersWhateverOthersDo) {
  std::vector<int64_t> accepted[2];
  for (int run = 0; run < 2; ++run) {
    make(64);
    append(1, {1});
    append(2, {2});
    std::vector<float> logs(3, std::log(0.6f));
    VerificationResult result;
    for (int i = 0; i < 20; ++i) {
      int32_t other = branch(2), id = branch(1);
      ASSERT_TRUE(draft(2, other, {7, 8, 9}).isOk());
      ASSERT_TRUE(draft(1, id, {7, 8, 9}).isOk());
      if (run == 1) {
        ASSERT_TRUE(cache->verifySpeculation(2, other, logs.data(), 3, result).isOk());
      }
      ASSERT_TRUE(cache->verifySpeculation(1, id, logs.data(), 3, result).isOk());
      accepted[run].push_back(result.acceptedCount);
      ASSERT_TRUE(cache->rollbackSpeculation(1, id).isOk());
      ASSERT_TRUE(cache->rollbackSpeculation(2, other).isOk());
    }
  }
  EXPECT_EQ(accepted[0], accepted[1]);
}

TEST_F(SpeculativeKVCacheTest, EndsTheOtherBranchesWithACommit) {
  make(32);
  append(1, {1, 2, 3, 4, 5});
  append(2, {9});
  int32_t first = branch(1), second = branch(1), other = branch(2);
  ASSERT_TRUE(draft(1, first, {6, 7}).isOk());
  ASSERT_TRUE(draft(1, second, {8}).isOk());
  ASSERT_TRUE(draft(2, other, {10}).isOk());
  ASSERT_TRUE(cache->commitSpeculation(1, second, 1).isOk());
  expectReads(SequenceId{1}, {1, 2, 3, 4, 5, 8});
  EXPECT_EQ(cache->numBranches(), 1);
  EXPECT_EQ(cache->rollbackSpeculation(1, first).message(),
            "unknown branch " + std::to_string(first) + " of sequence 1");
  EXPECT_EQ(cache->rollbackSpeculation(1, other).code(), StatusCode::NotFound);
  ASSERT_TRUE(cache->freeSequence(2).isOk());
  EXPECT_EQ(cache->numBranches(), 0);
  EXPECT_EQ(cache->cache().pool().numFree(), 30);
}

TEST_F(SpeculativeKVCacheTest, RefusesAndChangesNothing) {
  SpeculativeConfig config;
  config.maxDraftTokens = 3;
  config.maxBranches = 2;
  make(4, config);
  append(1, {1, 2, 3, 4, 5});
  int32_t id = branch(1), unused = 0;
  EXPECT_EQ(draft(1, id, {6, 7, 8, 9}).code(), StatusCode::ResourceExhausted);
  ASSERT_TRUE(draft(1, id, {6, 7}).isOk());
  EXPECT_EQ(draft(1, id, {8, 9}).message(),
            "a branch may have 3 draft tokens, but this one would have 4");
  EXPECT_EQ(draft(1, id, {8}, {0}).code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(draft(1, id, {8}, {7}).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(cache->commitSpeculation(1, id, 3).message(),
            "expected 0 to 2 accepted tokens of branch 0 of sequence 1, but got 3");
  std::vector<float> logs(2, certain);
  VerificationResult result;
  EXPECT_FALSE(cache->verifySpeculation(1, id, logs.data(), 1, result).isOk());
  EXPECT_FALSE(cache->verifySpeculation(1, id, nullptr, 2, result).isOk());
  EXPECT_EQ(cache->createBranch(9, unused).message(), "unknown sequence 9");
  int32_t second = branch(1);
  EXPECT_EQ(cache->createBranch(1, unused).code(), StatusCode::ResourceExhausted);
  append(2, {1}); // the pool is full now
  EXPECT_EQ(draft(1, second, {6}).code(), StatusCode::ResourceExhausted);
  EXPECT_EQ((*cache->branchTree(1, second))->size(), 0);
  ASSERT_TRUE(cache->rollbackSpeculation(1, second).isOk());
  append(1, {6});
  EXPECT_EQ(cache->commitSpeculation(1, id, 1).message(),
            "cannot commit branch 0 of sequence 1: it began after 5 tokens, and the sequence now "
            "has 6");
  ASSERT_TRUE(cache->rollbackSpeculation(1, id).isOk());
  expectReads(SequenceId{1}, {1, 2, 3, 4, 5, 6});

  config.maxDraftTokens = 65;
  config.enableTreeAttention = true;
  SpeculativeKVCache bad(1, 1, 1, 1, 100, ElementType::F32, config);
  EXPECT_EQ(bad.status().message(),
            "speculative KV cache: expected 1 to 64 draft tokens, but got 65");
  EXPECT_FALSE(bad.createBranch(1, unused).isOk());
}

// Many drafts on several sequences against vectors of tokens.
TEST_F(SpeculativeKVCacheTest, FollowsTheModelInARandomRun) {
  make(64, {.maxDraftTokens = 12, .enableTreeAttention = true});
  std::mt19937 random(3);
  std::map<int32_t, Tokens> model;
  int32_t next = 1;
  for (int step = 0; step < 1500; ++step) {
    auto sequence = static_cast<int32_t>(random() % 4);
    Tokens &tokens = model[sequence];
    if (tokens.empty() || tokens.size() > 26) {
      if (!tokens.empty()) {
        ASSERT_TRUE(cache->freeSequence(sequence).isOk());
      }
      tokens = {next++};
      append(sequence, tokens);
    }
    int32_t id = branch(sequence);
    Tokens parents, drafts;
    for (uint32_t i = 0, count = random() % 13; i < count; ++i) {
      parents.push_back(static_cast<int32_t>(random() % (i + 1)) - 1);
      drafts.push_back(next++ % 5000);
    }
    ASSERT_TRUE(draft(sequence, id, drafts, parents).isOk());
    expectReads(SequenceId{sequence}, tokens);
    if (random() % 4 == 0) {
      ASSERT_TRUE(cache->rollbackSpeculation(sequence, id).isOk());
    } else {
      auto end = static_cast<int32_t>(random() % (drafts.size() + 1)) - 1;
      std::vector<int32_t> path = (*cache->branchTree(sequence, id))->pathTo(end);
      ASSERT_TRUE(cache->commitSpeculation(sequence, id, path).isOk());
      for (int32_t i : path)
        tokens.push_back(drafts[size_t(i)]);
    }
    expectReads(SequenceId{sequence}, tokens);
    ASSERT_TRUE(cache->checkInvariants().isOk());
  }
}
