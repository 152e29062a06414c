// Generator with a prefix tree: the same results as without it, for prompts that start alike in
// every way, in pools of every size; what is computed once; what the tree keeps between runs.

#include "FakeLanguageModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace llmir;
using namespace llmir::testing;
using ::testing::HasSubstr;

namespace {
class PrefixReuseTest : public ::testing::Test {
protected:
  void makeGenerator(int64_t numBlocks, int64_t chunk, int64_t maxSequences,
                     LogitsCollection logits = LogitsCollection::None) {
    generator_.reset();
    tree_.reset();
    WorkerTeamOptions teamOptions;
    teamOptions.workers = 2;
    teamOptions.pinning = Pinning::None;
    if (!team_)
      team_ = *WorkerTeam::create(teamOptions);
    cache_ = std::make_unique<PagedKVCache>(fakeCacheParameters(), numBlocks);
    tree_ = std::make_unique<PrefixTree>(*cache_);
    cache_->setReclaimer(tree_.get());
    GeneratorOptions options;
    options.chunk = chunk;
    options.maxSequences = maxSequences;
    options.logits = logits;
    options.prefixTree = tree_.get();
    PagedKVCache *caches[] = {cache_.get()};
    auto generator = Generator::create(fakeProgram(), *team_, caches, options);
    ASSERT_TRUE(generator.isOk()) << generator.status().message();
    generator_ = std::move(*generator);
  }

  /// Runs, and checks that the results are those of each prompt alone, computed from its start.
  void run(const std::vector<GenerationRequest> &requests) {
    RecordingListener listener(requests.size());
    Status status = generator_->run(requests, listener);
    ASSERT_TRUE(status.isOk()) << status.message();
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(
          listener.tokens[i],
          fakeContinuation(requests[i].prompt, static_cast<size_t>(*requests[i].maxNewTokens)))
          << "request " << i;
    checkCache();
  }

  /// Whether all blocks are free or the tree's.
  void checkCache() {
    EXPECT_EQ(cache_->numSequences(), 0u);
    EXPECT_TRUE(tree_->checkInvariants().isOk()) << tree_->checkInvariants().message();
    std::vector<BlockId> held;
    tree_->appendHeldBlocks(held);
    Status status = cache_->checkInvariants(held);
    EXPECT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(tree_->countEvictable(), static_cast<int64_t>(held.size()));
    EXPECT_EQ(cache_->pool().numFree() + tree_->countEvictable(), cache_->pool().numBlocks());
  }

  static GenerationRequest request(std::vector<int32_t> prompt, int64_t count) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.maxNewTokens = count;
    request.endOfGeneration = EndOfGeneration::Ignore;
    return request;
  }
  /// `first`, first + 1, …: `length` tokens, then the `rest`.
  static std::vector<int32_t> prompt(int32_t first, int32_t length,
                                     std::vector<int32_t> rest = {}) {
    std::vector<int32_t> tokens;
    for (int32_t i = 0; i < length; ++i)
      tokens.push_back(first + i);
    tokens.insert(tokens.end(), rest.begin(), rest.end());
    return tokens;
  }
  const GenerationStatistics &statistics() const { return generator_->statistics(); }

  std::unique_ptr<WorkerTeam> team_;
  std::unique_ptr<PagedKVCache> cache_;
  std::unique_ptr<PrefixTree> tree_;
  std::unique_ptr<Generator> generator_;
};
} // namespace

TEST_F(PrefixReuseTest, ABatchComputesItsCommonStartOnce) {
  // 10 tokens alike: two blocks of 4, and half of a third.
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 4; ++i)
    requests.push_back(request(prompt(1, 10, {100 + i, 50}), 6));
  makeGenerator(64, 512, 8);
  run(requests);
  EXPECT_EQ(statistics().reusedTokens, 3 * 10);
  EXPECT_EQ(statistics().promptTokens, 12 + 3 * 2);
  // Once more: all but the last token of each prompt.
  run(requests);
  EXPECT_EQ(statistics().reusedTokens, 3 * 10 + 4 * 11);
  EXPECT_EQ(statistics().promptTokens, 12 + 3 * 2 + 4);
}

TEST_F(PrefixReuseTest, NobodyWaitsForNothing) {
  // Prompts that differ run side by side, and so do those that share less than a block.
  makeGenerator(64, 512, 8);
  run({request(prompt(1, 9), 5), request(prompt(2, 9), 5), request({1, 2, 3, 40, 50}, 5)});
  EXPECT_EQ(statistics().reusedTokens, 0);
  EXPECT_EQ(statistics().steps, 5);
}

TEST_F(PrefixReuseTest, PromptsOfEveryKindOfOverlap) {
  for (int64_t chunk : {1, 3, 512}) {
    makeGenerator(48, chunk, 6);
    run({request(prompt(1, 8), 3), request(prompt(1, 8), 5), request(prompt(1, 16), 2),
         request(prompt(1, 7), 4), request(prompt(1, 1), 9), request(prompt(1, 16, {9, 9}), 1),
         request(prompt(1, 12, {13, 14, 15, 16, 17}), 3), request(prompt(5, 20), 2),
         request(prompt(1, 8), 0), request(prompt(1, 40), 8)});
    EXPECT_GT(statistics().reusedTokens, 0);
  }
}

TEST_F(PrefixReuseTest, AFullPoolGivesRememberedBlocksUp) {
  // Each prompt with its continuation needs the whole pool of 4 blocks.
  makeGenerator(4, 512, 4);
  std::vector<GenerationRequest> requests;
  for (int32_t i = 0; i < 6; ++i)
    requests.push_back(request(prompt(1, 9, {100 + i % 3}), 7));
  run(requests);
  EXPECT_GT(statistics().reusedTokens, 0);
  EXPECT_EQ(tree_->statistics().blocksEvicted, 0) << "all start with the same two blocks";
  // A request that fits the pool fits it although the tree has blocks.
  run({request(prompt(30, 13), 4)});
  EXPECT_EQ(tree_->statistics().blocksEvicted, 2);
}

TEST_F(PrefixReuseTest, RandomBatchesInSmallPools) {
  std::mt19937 random(7);
  auto below = [&](uint32_t bound) { return static_cast<int32_t>(random() % bound); };
  for (int64_t numBlocks : {12, 16, 20, 40})
    for (int round = 0; round < 25; ++round) {
      if (round % 5 == 0)
        makeGenerator(numBlocks, 1 + below(20), 1 + below(6));
      std::vector<GenerationRequest> requests;
      for (int32_t i = below(9); i >= 0; --i) {
        // Few different tokens, so that prompts part at every place.
        std::vector<int32_t> tokens = prompt(1, below(3) * 4);
        for (int32_t length = 1 + below(18); length > 0; --length)
          tokens.push_back(1 + below(2));
        requests.push_back(request(std::move(tokens), below(9)));
      }
      run(requests);
    }
}

TEST_F(PrefixReuseTest, CollectedLogitsAreComputed) {
  makeGenerator(64, 512, 4, LogitsCollection::All);
  std::vector<GenerationRequest> requests = {request(prompt(1, 10), 2), request(prompt(1, 10), 2),
                                             request(prompt(1, 10), 2)};
  requests[1].logits = LogitsCollection::All;
  RecordingListener listener(3);
  ASSERT_TRUE(generator_->run(requests, listener).isOk());
  EXPECT_EQ(listener.rows[1].size(), 11u);
  EXPECT_EQ(listener.rows[1][9], fakeLogits(prompt(1, 10)));
  EXPECT_EQ(statistics().reusedTokens, 8) << "two full blocks of the third request alone";
  checkCache();
}

TEST_F(PrefixReuseTest, ACancelledRunLeavesWholeBlocksOnly) {
  makeGenerator(64, 2, 4);
  RecordingListener listener(2);
  listener.stepLimit = 3;
  ASSERT_TRUE(
      generator_->run(std::vector{request(prompt(1, 10), 4), request(prompt(1, 12), 4)}, listener)
          .isOk());
  checkCache();
  run({request(prompt(1, 10), 4)});
}

TEST_F(PrefixReuseTest, RefusesATreeOfAnotherCache) {
  makeGenerator(8, 512, 1);
  PagedKVCache other(fakeCacheParameters(), 8);
  PagedKVCache *caches[] = {&other};
  GeneratorOptions options;
  options.prefixTree = tree_.get();
  Status status = Generator::create(fakeProgram(), *team_, caches, options).status();
  EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("has 1, which is another"));
}
