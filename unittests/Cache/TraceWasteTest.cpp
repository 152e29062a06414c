// How much of a cache's memory holds no token, on all requests of a trace of conversations (skipped
// aloud when the file is absent) and on log-normal lengths: in PagedKVCache with blocks of 16, and
// in AdaptiveBlockManager, which chooses the sizes itself.

#include "../ModelFiles/TestData.h"
#include "ConversationLengths.h"

#include "llmir/Cache/AdaptiveBlockManager.h"
#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <random>
#include <string>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t longest = 1 << 18;

struct Request {
  int64_t prompt = 0, answer = 0;
  int64_t length() const { return prompt + answer; }
};

/// The number after `"name": ` in a line of JSON, which must be there.
int64_t numberAfter(const std::string &line, const std::string &name) {
  size_t at = line.find('"' + name + "\": ");
  EXPECT_NE(at, std::string::npos) << line.substr(0, 100);
  return at == std::string::npos ? 0 : std::stoll(line.substr(at + name.size() + 4));
}

class TraceWasteTest : public ::testing::Test {
protected:
  void SetUp() override {
    std::string path = sharedDataPath("traces/conversation.jsonl");
    std::ifstream file(path);
    if (!file)
      GTEST_SKIP() << "no trace of conversations at " << path;
    for (std::string line; std::getline(file, line);)
      requests.push_back({numberAfter(line, "input_length"), numberAfter(line, "output_length")});
    ASSERT_EQ(requests.size(), 12031u);
  }

  std::vector<int64_t> lengths() const {
    std::vector<int64_t> lengths;
    for (const Request &request : requests)
      lengths.push_back(request.length());
    return lengths;
  }

  std::vector<Request> requests; // in the order of their arrival
};

/// Which fraction of the bytes of keys and values that sequences of these lengths hold in a real
/// cache is unused: what its blocks could hold, counted from the pool, less what was appended.
double slackOf(const std::vector<int64_t> &lengths) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = ElementType::F16;
  parameters.numLayers = parameters.numKVHeads = 1;
  parameters.keyHeadDim = parameters.valueHeadDim = 64;
  parameters.blockSize = 16;
  parameters.maxSeqLen = longest;
  PagedKVCache cache(parameters, longest / 16);
  CacheStepTables tables;
  double used = 0, held = 0;
  for (int64_t length : lengths) {
    AppendRequest request{SequenceId{1}, length};
    Status status = cache.reserve({&request, 1}, tables);
    EXPECT_TRUE(status.isOk()) << status.message();
    held += double(cache.pool().numBlocks() - cache.pool().numFree()) *
            double(cache.layout().block_stride);
    used += double(length) * 2 * 64 * 2;
    EXPECT_TRUE(cache.freeSequence(SequenceId{1}).isOk());
  }
  return 1 - used / held;
}

} // namespace

TEST_F(TraceWasteTest, BlocksOf16WasteAtMostAThousandthOnConversations) {
  double slack = slackOf(lengths());
  RecordProperty("slack", std::to_string(slack));
  EXPECT_GT(slack, 0);
  EXPECT_LE(slack, 0.001);
  // What the advice counts on is what a cache really holds.
  EXPECT_NEAR(costOf({16, 16, 16}, lengths()).slackFraction, slack, 1e-12);
}

TEST(LogNormalWasteTest, BlocksOf16WasteAtMostFourHundredths) {
  std::mt19937_64 random(300);
  for (double deviation : {0.5, 1.0}) {
    // The mean of such a distribution is exp(mu + deviation² / 2).
    std::lognormal_distribution<double> distribution(std::log(300) - deviation * deviation / 2,
                                                     deviation);
    std::vector<int64_t> lengths;
    double sum = 0;
    for (int i = 0; i < 20000; ++i) {
      lengths.push_back(std::clamp<int64_t>(std::llround(distribution(random)), 1, longest));
      sum += double(lengths.back());
    }
    EXPECT_NEAR(sum / 20000, 300, 10);
    EXPECT_LE(slackOf(lengths), 0.04) << deviation;
  }
}

TEST_F(TraceWasteTest, AdaptiveBlocksAreFewAndWasteLittle) {
  AdaptationConfig config;
  config.enableAutoTuning = true;
  config.policy = AdaptationPolicy::PREDICTIVE;
  AdaptiveBlockManager manager(1, 1, 8, {}, config,
                               {.maxSeqLen = longest, .numTokens = 2 * longest});
  ASSERT_TRUE(manager.status().isOk()) << manager.status().message();
  std::vector<KVBlock *> blocks;
  for (size_t i = 0; i < requests.size(); ++i) {
    // The prompt is known, the answer grows.
    auto id = static_cast<int32_t>(i);
    for (int64_t length : {requests[i].prompt, requests[i].length()}) {
      Status status = manager.allocateBlocksForSequence(id, length, blocks);
      ASSERT_TRUE(status.isOk()) << status.message();
    }
    ASSERT_TRUE(manager.recordSequenceComplete(id, requests[i].length()).isOk());
  }
  const AdaptationStatistics &statistics = manager.statistics();
  RecordProperty("slack", std::to_string(statistics.slackFraction()));
  RecordProperty("blocks", std::to_string(double(statistics.blocks) / double(requests.size())));
  BlockSizeCost fixed = costOf({16, 16, 16}, lengths());
  EXPECT_GT(statistics.adaptations, 0);
  // Whoever starts with large blocks pays for the answers that end early.
  EXPECT_LE(statistics.slackFraction(), 0.005);
  EXPECT_LT(double(statistics.blocks) / double(requests.size()), fixed.blocks / 8);
}

TEST_F(TraceWasteTest, TheSampleIsOfTheTrace) {
  std::vector<int64_t> sorted = lengths();
  std::sort(sorted.begin(), sorted.end());
  size_t count = std::size(llmir::testing::conversationLengths);
  for (size_t i = 0; i < count; ++i)
    EXPECT_EQ(llmir::testing::conversationLengths[i],
              sorted[(2 * i + 1) * sorted.size() / (2 * count)]);
}
