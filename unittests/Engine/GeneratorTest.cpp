// Generator with the fake language model: the same results however requests are batched, chunked
// and placed in the pool; ends of requests; pools and prompts that do not fit.

#include "FakeLanguageModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <random>

using namespace llmir;
using namespace llmir::testing;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

namespace {
class GeneratorTest : public ::testing::Test {
protected:
  void makeGenerator(int64_t numBlocks, const GeneratorOptions &options, int32_t workers = 2) {
    generator_.reset();
    WorkerTeamOptions teamOptions;
    teamOptions.workers = workers;
    teamOptions.pinning = Pinning::None;
    team_ = *WorkerTeam::create(teamOptions);
    cache_ = std::make_unique<PagedKVCache>(fakeCacheParameters(), numBlocks);
    PagedKVCache *caches[] = {cache_.get()};
    auto generator = Generator::create(fakeProgram(), *team_, caches, options);
    ASSERT_TRUE(generator.isOk()) << generator.status().message();
    generator_ = std::move(*generator);
  }

  /// Runs and checks that all blocks come back.
  Status run(const std::vector<GenerationRequest> &requests, RecordingListener &listener) {
    Status status = generator_->run(requests, listener);
    EXPECT_EQ(cache_->pool().numFree(), cache_->pool().numBlocks());
    EXPECT_EQ(cache_->numSequences(), 0u);
    return status;
  }

  static GenerationRequest request(std::vector<int32_t> prompt, std::optional<int64_t> count) {
    GenerationRequest request;
    request.prompt = std::move(prompt);
    request.maxNewTokens = count;
    return request;
  }

  static std::vector<int32_t> randomPrompt(size_t length, uint32_t seed) {
    std::mt19937 random(seed);
    std::vector<int32_t> prompt(length);
    for (int32_t &token : prompt)
      token = static_cast<int32_t>(random() % FAKE_VOCABULARY);
    return prompt;
  }

  std::unique_ptr<WorkerTeam> team_;
  std::unique_ptr<PagedKVCache> cache_;
  std::unique_ptr<Generator> generator_;
};

GeneratorOptions optionsOf(int64_t chunk, int64_t maxSequences,
                           LogitsCollection logits = LogitsCollection::None) {
  GeneratorOptions options;
  options.chunk = chunk;
  options.maxSequences = maxSequences;
  options.logits = logits;
  return options;
}
} // namespace

TEST_F(GeneratorTest, ContinuesAPromptGreedily) {
  makeGenerator(16, optionsOf(512, 1));
  RecordingListener listener(1);
  ASSERT_TRUE(run({request({5, 6, 7}, 20)}, listener).isOk());
  EXPECT_EQ(listener.tokens[0], fakeContinuation({5, 6, 7}, 20));
  EXPECT_EQ(listener.reasons[0], FinishReason::Length);
  const GenerationStatistics &statistics = generator_->statistics();
  EXPECT_EQ(statistics.promptTokens, 3);
  EXPECT_EQ(statistics.decodeTokens, 19);
  EXPECT_EQ(statistics.generatedTokens, 20);
  EXPECT_EQ(statistics.steps, 20);
  EXPECT_DOUBLE_EQ(statistics.decodeSteps, 19.0);
  // Contexts of 4 to 22 tokens.
  EXPECT_EQ(statistics.decodeContextTokens, (4 + 22) * 19 / 2);
  EXPECT_GT(statistics.firstTokenSeconds, 0.0);
}

TEST_F(GeneratorTest, BatchesChunksAndWorkersChangeNothing) {
  std::vector<GenerationRequest> requests;
  for (size_t length : {31, 1, 17, 8, 25, 4})
    requests.push_back(request(randomPrompt(length, static_cast<uint32_t>(length)), 12));
  for (GenerationRequest &each : requests)
    each.logits = LogitsCollection::All;
  for (int32_t workers : {1, 2, 3})
    for (int64_t chunk : {1, 7, 64})
      for (int64_t sequences : {1, 4, 6}) {
        makeGenerator(100, optionsOf(chunk, sequences, LogitsCollection::All), workers);
        // Twice: the second time, the pool hands its blocks out in another order.
        for (int round = 0; round < 2; ++round) {
          RecordingListener listener(requests.size());
          ASSERT_TRUE(run(requests, listener).isOk());
          for (size_t i = 0; i < requests.size(); ++i) {
            std::vector<int32_t> tokens = requests[i].prompt;
            ASSERT_EQ(listener.tokens[i], fakeContinuation(tokens, 12));
            tokens.insert(tokens.end(), listener.tokens[i].begin(), listener.tokens[i].end());
            ASSERT_EQ(listener.rows[i].size(), tokens.size() - 1);
            for (size_t row = 0; row < listener.rows[i].size(); ++row)
              ASSERT_EQ(listener.rows[i][row], fakeLogits(std::span(tokens).first(row + 1)));
          }
        }
      }
}

TEST_F(GeneratorTest, BlocksOfSequencesInterleave) {
  // Four prompts of 16 tokens in chunks of 4 tokens each: a block of each in turn.
  makeGenerator(100, optionsOf(16, 4));
  class Watcher : public RecordingListener {
  public:
    explicit Watcher(const PagedKVCache &cache) : RecordingListener(4), cache_(cache) {}
    Proceed beforeStep() override {
      if (numSteps == 4)
        for (int32_t i = 0; i < 4; ++i) {
          std::span<const BlockId> ids = *cache_.blocks(static_cast<SequenceId>(i));
          for (BlockId block : ids)
            blocks[i].push_back(block.index);
        }
      return RecordingListener::beforeStep();
    }
    std::vector<int32_t> blocks[4];

  private:
    const PagedKVCache &cache_;
  };
  Watcher watcher(*cache_);
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 4; ++i)
    requests.push_back(request(randomPrompt(16, i), 3));
  ASSERT_TRUE(run(requests, watcher).isOk());
  EXPECT_THAT(watcher.blocks[0], ElementsAre(0, 4, 8, 12));
  EXPECT_THAT(watcher.blocks[3], ElementsAre(3, 7, 11, 15));
  for (uint32_t i = 0; i < 4; ++i)
    EXPECT_EQ(watcher.tokens[i], fakeContinuation(randomPrompt(16, i), 3));
}

TEST_F(GeneratorTest, StopsAtEndOfGenerationUnlessTold) {
  std::vector<int32_t> expected = fakeContinuation({9}, 10);
  GeneratorOptions options = optionsOf(512, 2);
  options.endOfGenerationTokens = {expected[4]};
  makeGenerator(50, options);
  GenerationRequest ignoring = request({9}, 10);
  ignoring.endOfGeneration = EndOfGeneration::Ignore;
  RecordingListener listener(2);
  ASSERT_TRUE(run({request({9}, 10), ignoring}, listener).isOk());
  expected.resize(std::find(expected.begin(), expected.end(), expected[4]) - expected.begin());
  EXPECT_EQ(listener.tokens[0], expected);
  EXPECT_EQ(listener.reasons[0], FinishReason::EndOfGeneration);
  EXPECT_EQ(listener.tokens[1].size(), 10u);
  EXPECT_EQ(listener.reasons[1], FinishReason::Length);
}

TEST_F(GeneratorTest, EndsWithTheContext) {
  makeGenerator(16, optionsOf(512, 1));
  RecordingListener listener(1);
  ASSERT_TRUE(run({request(randomPrompt(60, 1), std::nullopt)}, listener).isOk());
  // 60 + 4 tokens fill the context, and the last row gives one more.
  EXPECT_EQ(listener.tokens[0].size(), 5u);
  EXPECT_EQ(listener.reasons[0], FinishReason::ContextEnd);
  RecordingListener full(1);
  ASSERT_TRUE(run({request(randomPrompt(64, 1), 1000)}, full).isOk());
  EXPECT_EQ(full.tokens[0], fakeContinuation(randomPrompt(64, 1), 1));
  EXPECT_EQ(full.reasons[0], FinishReason::ContextEnd);
}

TEST_F(GeneratorTest, ZeroTokensComputeThePromptOnly) {
  makeGenerator(16, optionsOf(3, 1, LogitsCollection::All));
  GenerationRequest scored = request(randomPrompt(8, 2), 0);
  scored.logits = LogitsCollection::All;
  RecordingListener listener(2);
  ASSERT_TRUE(run({scored, request({1, 2}, 0)}, listener).isOk());
  EXPECT_TRUE(listener.tokens[0].empty());
  EXPECT_EQ(listener.rows[0].size(), 8u);
  EXPECT_TRUE(listener.rows[1].empty());
  EXPECT_EQ(generator_->statistics().promptTokens, 10);
}

TEST_F(GeneratorTest, AFullPoolMakesRequestsWait) {
  // Each needs 10 + 7 - 1 = 16 tokens, so 4 blocks; the pool holds two of them at once.
  makeGenerator(9, optionsOf(512, 8));
  std::vector<GenerationRequest> requests;
  for (uint32_t i = 0; i < 5; ++i)
    requests.push_back(request(randomPrompt(10, i), 7));
  RecordingListener listener(5);
  ASSERT_TRUE(run(requests, listener).isOk());
  for (uint32_t i = 0; i < 5; ++i)
    EXPECT_EQ(listener.tokens[i], fakeContinuation(randomPrompt(10, i), 7));
  EXPECT_THAT(listener.finished, ElementsAre(0, 1, 2, 3, 4));
}

TEST_F(GeneratorTest, RefusesWhatCanNeverWorkBeforeRunningAnything) {
  makeGenerator(8, optionsOf(512, 4));
  auto refuse = [&](GenerationRequest bad, StatusCode code, const char *message) {
    RecordingListener listener(2);
    Status status = run({request({1}, 1), std::move(bad)}, listener);
    EXPECT_EQ(status.code(), code);
    EXPECT_THAT(status.message(), HasSubstr(message));
    EXPECT_THAT(status.message(), HasSubstr("request 1: "));
    EXPECT_TRUE(listener.tokens[0].empty());
  };
  refuse(request({}, 5), StatusCode::InvalidArgument, "the prompt is empty");
  refuse(request(randomPrompt(65, 1), 5), StatusCode::InvalidArgument,
         "the prompt has 65 tokens, but the context holds 64");
  refuse(request({264}, 5), StatusCode::InvalidArgument, "token ids from 0 to 263, but got 264");
  refuse(request({1}, -1), StatusCode::InvalidArgument, "at least 0 tokens to generate");
  refuse(request(randomPrompt(20, 1), 20), StatusCode::ResourceExhausted,
         "39 tokens of prompt and continuation need 10 blocks, but the pool has 8");
  GenerationRequest hot = request({1}, 5);
  hot.sampling.temperature = -2.0f;
  refuse(hot, StatusCode::InvalidArgument, "temperature");
  GenerationRequest collecting = request({1}, 5);
  collecting.logits = LogitsCollection::All;
  refuse(collecting, StatusCode::InvalidArgument, "no room");
}

TEST_F(GeneratorTest, RefusesOptionsOutOfRange) {
  makeGenerator(8, optionsOf(512, 4));
  PagedKVCache *caches[] = {cache_.get()};
  for (const GeneratorOptions &options : {optionsOf(0, 4), optionsOf(513, 4), optionsOf(8, 0)})
    EXPECT_EQ(Generator::create(fakeProgram(), *team_, caches, options).status().code(),
              StatusCode::InvalidArgument);
  EXPECT_FALSE(Generator::create(fakeProgram(), *team_, {}, optionsOf(8, 1)).isOk());
  PagedKVCache other(1, 2, FAKE_HEAD_DIM, FAKE_BLOCK_SIZE, FAKE_MAX_LENGTH, ElementType::F32, 8);
  PagedKVCache *wrong[] = {&other};
  EXPECT_EQ(Generator::create(fakeProgram(), *team_, wrong, optionsOf(8, 1)).status().code(),
            StatusCode::FailedPrecondition);
}

TEST_F(GeneratorTest, AListenerCanStopTheRun) {
  makeGenerator(16, optionsOf(512, 1));
  RecordingListener listener(2);
  listener.stepLimit = 5;
  ASSERT_TRUE(run({request({1}, 50), request({2}, 5)}, listener).isOk());
  EXPECT_EQ(listener.tokens[0].size(), 5u);
  EXPECT_EQ(listener.reasons[0], FinishReason::Cancelled);
  EXPECT_EQ(listener.reasons[1], FinishReason::Cancelled);
}

TEST_F(GeneratorTest, SamplingIsReproducibleInAnyBatch) {
  auto sampled = [&](std::vector<int32_t> prompt, uint64_t seed) {
    GenerationRequest sampled = request(std::move(prompt), 30);
    sampled.sampling = {0.8f, 40, 0.95f, seed, 0};
    sampled.logProbabilities = LogProbabilities::Chosen;
    return sampled;
  };
  makeGenerator(100, optionsOf(512, 4));
  RecordingListener alone(1), together(3), reseeded(1);
  ASSERT_TRUE(run({sampled({3, 4}, 11)}, alone).isOk());
  ASSERT_TRUE(run({sampled({8}, 5), request({1}, 9), sampled({3, 4}, 11)}, together).isOk());
  ASSERT_TRUE(run({sampled({3, 4}, 12)}, reseeded).isOk());
  EXPECT_EQ(alone.tokens[0], together.tokens[2]);
  EXPECT_NE(alone.tokens[0], reseeded.tokens[0]);
  EXPECT_NE(alone.tokens[0], fakeContinuation({3, 4}, 30));
  std::vector<int32_t> prompt = {3, 4};
  EXPECT_NEAR(*alone.logProbabilities[0], logProbability(fakeLogits(prompt), alone.tokens[0][0]),
              1e-9);
}

TEST(ContextTokensNeededTest, CountsWhatIsFedBack) {
  GenerationRequest request;
  request.prompt.resize(10);
  EXPECT_EQ(contextTokensNeeded(request, 64), 64);
  request.maxNewTokens = 0;
  EXPECT_EQ(contextTokensNeeded(request, 64), 10);
  request.maxNewTokens = 1;
  EXPECT_EQ(contextTokensNeeded(request, 64), 10);
  request.maxNewTokens = 5;
  EXPECT_EQ(contextTokensNeeded(request, 64), 14);
  request.maxNewTokens = INT64_MAX;
  EXPECT_EQ(contextTokensNeeded(request, 64), 64);
}
