// Adaptive blocks: a manager that starts with the seed's sizes, sees chat-like and document-like
// requests come and go, and explains what it makes of them.

#include "llmir/Cache/AdaptiveBlockManager.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

using namespace llmir;

namespace {

void print(const char *what, const BlockSizeConfig &sizes) {
  std::printf("%s: small %d, primary %d, large %d\n", what, int(sizes.smallBlockSize),
              int(sizes.primaryBlockSize), int(sizes.largeBlockSize));
}

/// Serves requests of log-normal lengths around `median`; false if one failed.
bool serve(AdaptiveBlockManager &manager, int requests, double median, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<double> normal;
  std::vector<KVBlock *> blocks;
  for (int32_t id = 0; id < requests; ++id) {
    double drawn = std::min(median * std::exp(0.6 * normal(random)), 30000.0);
    auto length = static_cast<int64_t>(drawn) + 1;
    if (!manager.allocateBlocksForSequence(id, length, blocks).isOk() ||
        !manager.recordSequenceComplete(id, length).isOk())
      return false;
  }
  return true;
}

} // namespace

int main() {
  int64_t numLayers = 4, numHeads = 2, headDim = 64, expectedLength = 300, finalLength = 412;
  int32_t sequenceId = 1;

  // clang-format off
// Create adaptive block manager
BlockSizeConfig blockConfig;
blockConfig.primaryBlockSize = 16;
blockConfig.smallBlockSize = 4;
blockConfig.largeBlockSize = 64;

AdaptationConfig adaptConfig;
adaptConfig.policy = AdaptationPolicy::PREDICTIVE;
adaptConfig.enableAutoTuning = true;

AdaptiveBlockManager manager(numLayers, numHeads, headDim,
                              blockConfig, adaptConfig);

// Allocate blocks with automatic size selection
std::vector<KVBlock*> blocks;
manager.allocateBlocksForSequence(sequenceId, expectedLength, blocks);

// Record workload for adaptation
manager.recordSequenceComplete(sequenceId, finalLength);

// Get recommended configuration based on workload
BlockSizeConfig recommended = manager.getRecommendedConfig();
  // clang-format on

  std::printf("300 tokens took %zu blocks\n", blocks.size());
  print("recommended after one sequence of 412 tokens", recommended);
  bool good = manager.status().isOk() && !blocks.empty();
  good = good && serve(manager, 640, 40, 1);
  std::printf("\nshort chats: %s\n", manager.explanation().c_str());
  print("in use", manager.currentConfig());
  good = good && serve(manager, 1280, 4000, 2);
  std::printf("\nlong documents: %s\n", manager.explanation().c_str());
  print("in use", manager.currentConfig());
  const AdaptationStatistics &seen = manager.statistics();
  std::printf("\nin all: %d sequences, %.2f %% of memory unused, %d adaptations\n",
              int(seen.sequences), 100 * seen.slackFraction(), int(seen.adaptations));
  return good ? 0 : 1;
}
