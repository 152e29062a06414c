// PrefixAwareKVCache and SystemPromptCache: sequences that start with what others computed.

#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/SystemPromptCache.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <numeric>

using namespace llmir;

namespace {

using Tokens = std::vector<int32_t>;

constexpr int64_t numLayers = 2, numHeads = 2, headDim = 4, blockSize = 4, maxSeqLen = 64;

Tokens range(int32_t first, size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class PrefixAwareKVCacheTest : public testing::Test {
protected:
  void make(int64_t numBlocks, const PrefixCacheConfig &config = {}) {
    cache = std::make_unique<PrefixAwareKVCache>(numLayers, numHeads, headDim, blockSize, maxSeqLen,
                                                 ElementType::F32, config, numBlocks);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
  }

  /// Keys and values of tokens in one layer or all: every channel tells token, layer and head.
  static std::vector<float> dataOf(const Tokens &tokens, int64_t firstLayer, int64_t layers) {
    std::vector<float> data;
    for (int64_t layer = firstLayer; layer < firstLayer + layers; ++layer)
      for (int32_t token : tokens)
        for (int64_t i = 0; i < numHeads * headDim; ++i)
          data.push_back(float(token * 100 + layer * 10) + float(i) / 16);
    return data;
  }

  Status append(int32_t sequence, const Tokens &tokens) {
    std::vector<float> data = dataOf(tokens, 0, numLayers);
    return cache->appendKV(data.data(), data.data(), 1, int64_t(tokens.size()), &sequence, nullptr);
  }

  void expectReads(int32_t sequence, const Tokens &tokens) {
    std::vector<int32_t> blocks;
    for (size_t t = 0; t < tokens.size(); ++t)
      blocks.push_back(*cache->cache().slot(SequenceId{sequence}, int64_t(t)) / int32_t(blockSize));
    std::vector<float> expected = dataOf(tokens, 0, numLayers), keys(expected.size()),
                       values = keys;
    auto length = int32_t(tokens.size());
    ASSERT_TRUE(cache->lookupKV(blocks.data(), &length, 1, keys.data(), values.data()).isOk());
    EXPECT_EQ(keys, expected);
    EXPECT_EQ(values, expected);
  }

  int64_t start(int32_t sequence, const Tokens &prompt) {
    return cache->initializeSequence(sequence, prompt.data(), int64_t(prompt.size()));
  }

  int64_t serve(int32_t sequence, const Tokens &prompt) {
    int64_t cached = start(sequence, prompt);
    EXPECT_GE(cached, 0) << cache->startStatus().message();
    EXPECT_TRUE(append(sequence, Tokens(prompt.begin() + cached, prompt.end())).isOk());
    expectReads(sequence, prompt);
    EXPECT_TRUE(cache->freeSequence(SequenceId{sequence}).isOk());
    Status status = cache->checkInvariants();
    EXPECT_TRUE(status.isOk()) << status.message();
    return cached;
  }

  std::unique_ptr<PrefixAwareKVCache> cache;
};

} // namespace

TEST_F(PrefixAwareKVCacheTest, ReusesPrefixes) {
  make(32);
  EXPECT_EQ(serve(1, range(0, 10)), 0);
  EXPECT_EQ(serve(2, range(0, 10)), 8);
  EXPECT_EQ(serve(1, range(0, 8)), 7);
  Tokens other = range(0, 6);
  other.push_back(77);
  EXPECT_EQ(serve(3, other), 6);
}

TEST_F(PrefixAwareKVCacheTest, SharesWhileTheFirstIsStillRunning) {
  make(32);
  ASSERT_EQ(start(1, range(0, 12)), 0);
  ASSERT_TRUE(append(1, range(0, 6)).isOk());
  EXPECT_EQ(start(2, range(0, 12)), 4);
  ASSERT_TRUE(append(1, range(6, 6)).isOk());
  EXPECT_EQ(start(3, range(0, 12)), 11);
  expectReads(1, range(0, 12));
}

TEST_F(PrefixAwareKVCacheTest, RemembersGeneratedTokensThatItIsTold) {
  make(32);
  ASSERT_EQ(start(1, range(0, 5)), 0);
  ASSERT_TRUE(append(1, range(0, 8)).isOk()); // three of them unknown
  EXPECT_EQ(cache->getPrefixCache().statistics().memoryBlocks, 1);
  ASSERT_TRUE(cache->extendSequence(SequenceId{1}, range(5, 3)).isOk());
  EXPECT_EQ(cache->getPrefixCache().statistics().memoryBlocks, 2);
  EXPECT_EQ(serve(2, range(0, 9)), 8);
  EXPECT_EQ(cache->extendSequence(SequenceId{9}, range(0, 1)).message(),
            "sequence 9 was not started with a prompt");
}

TEST_F(PrefixAwareKVCacheTest, ForgetsWhatWasTruncated) {
  make(32);
  ASSERT_EQ(start(1, range(0, 8)), 0);
  ASSERT_TRUE(append(1, range(0, 8)).isOk());
  ASSERT_TRUE(cache->truncate(SequenceId{1}, 5).isOk());
  ASSERT_TRUE(append(1, range(50, 7)).isOk());
  ASSERT_TRUE(cache->extendSequence(SequenceId{1}, range(50, 7)).isOk());
  Tokens both = range(0, 5);
  both.insert(both.end(), {50, 51, 52, 53, 54, 55, 56});
  expectReads(1, both);
  EXPECT_EQ(serve(2, range(0, 9)), 8); // what was truncated is remembered, and intact
  both.push_back(1);
  EXPECT_EQ(serve(3, both), 12);
}

TEST_F(PrefixAwareKVCacheTest, RemembersLayersWhenTheLastIsThere) {
  make(32);
  ASSERT_EQ(start(1, range(0, 4)), 0);
  int32_t sequence = 1;
  for (int64_t layer = 0; layer < numLayers; ++layer) {
    EXPECT_EQ(cache->getPrefixCache().statistics().memoryBlocks, 0);
    std::vector<float> data = dataOf(range(0, 4), layer, 1);
    ASSERT_TRUE(cache->appendKV(data.data(), data.data(), 1, 4, &sequence, nullptr, layer).isOk());
  }
  EXPECT_EQ(cache->getPrefixCache().statistics().memoryBlocks, 1);
}

TEST_F(PrefixAwareKVCacheTest, WritesEvictedBlocksToAFile) {
  PrefixCacheConfig config;
  config.storePath = testing::TempDir() + "llmir-prefixes-" + std::to_string(getpid());
  config.storeBlocks = 64;
  make(8, config);
  for (int32_t i = 0; i < 10; ++i)
    EXPECT_EQ(serve(i, range(1000 * i, 24)), 0);
  for (int32_t i = 0; i < 10; ++i)
    EXPECT_EQ(serve(i, range(1000 * i, 24)), 23);
  EXPECT_GT(cache->getPrefixCache().statistics().pagesRead, 40);
  cache.reset();
  EXPECT_FALSE(std::filesystem::exists(config.storePath));
}

TEST_F(PrefixAwareKVCacheTest, SaysWhyItCannotStart) {
  make(8);
  EXPECT_EQ(start(1, range(0, 65)), -1);
  EXPECT_EQ(cache->startStatus().message(),
            "the prompt of sequence 1 has 65 tokens, but a sequence may have 64");
  EXPECT_EQ(start(1, {}), -1);
  EXPECT_EQ(cache->startStatus().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(cache->initializeSequence(1, nullptr, 4), -1);
  EXPECT_EQ(start(1, range(0, 4)), 0);
  EXPECT_EQ(start(1, range(0, 4)), -1);
  EXPECT_EQ(cache->startStatus().message(), "cannot start sequence 1: it exists");
  EXPECT_EQ(cache->freeSequence(SequenceId{7}).code(), StatusCode::NotFound);

  PrefixCacheConfig config;
  config.maxCachedPrefixes = 0;
  PrefixAwareKVCache bad(numLayers, numHeads, headDim, blockSize, maxSeqLen, ElementType::F32,
                         config, 8);
  EXPECT_EQ(bad.initializeSequence(1, range(0, 4).data(), 4), -1);
  EXPECT_EQ(bad.startStatus().message(), bad.status().message());
  PrefixAwareKVCache noLayers(0, 1, 1, 1, 1, ElementType::F32);
  EXPECT_FALSE(noLayers.status().isOk());
  EXPECT_FALSE(noLayers.freeSequence(SequenceId{1}).isOk());
}

TEST_F(PrefixAwareKVCacheTest, KeepsSystemPrompts) {
  make(8);
  Tokens prompt = range(0, 10);
  {
    SystemPromptCache prompts(cache->getPrefixCache());
    ASSERT_TRUE(prompts.registerSystemPrompt("assistant", prompt.data(), 10).isOk());
    EXPECT_EQ(*prompts.keptLength("assistant"), 8);
    EXPECT_EQ(prompts.tokens("assistant")->size(), 10u);
    EXPECT_EQ(prompts.registerSystemPrompt("assistant", prompt.data(), 10).message(),
              "system prompt 'assistant' exists");
    EXPECT_EQ(prompts.registerSystemPrompt("empty", prompt.data(), 0).code(),
              StatusCode::InvalidArgument);
    EXPECT_EQ(prompts.unregisterSystemPrompt("x").message(), "unknown system prompt 'x'");
    for (int32_t i = 0; i < 10; ++i) {
      EXPECT_EQ(serve(1, range(0, 11)), i == 0 ? 0 : 8);
      EXPECT_EQ(serve(2, range(1000 * i + 1000, 24)), 0); // fills the rest of the pool
    }
  }
  EXPECT_EQ(cache->getPrefixCache().statistics().pinnedBlocks, 0);
  EXPECT_EQ(serve(2, range(70000, 32)), 0);
  EXPECT_EQ(serve(1, range(0, 11)), 0);
}
