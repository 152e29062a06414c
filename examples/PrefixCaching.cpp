// Prefix caching: a second request starts with what the first one computed, and the blocks of a
// system prompt stay when the pool is full. Shows how much of each prompt is left to compute.

#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/SystemPromptCache.h"

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <vector>

using namespace llmir;

static void require(const Status &status) {
  if (status.isOk())
    return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

int main() {
  int64_t numLayers = 4, numHeads = 4, headDim = 64, blockSize = 16, maxSeqLen = 512;
  ElementType elementType = ElementType::F16;
  int32_t sequenceId = 1;
  // A system prompt of 64 tokens, then a question.
  std::vector<int32_t> prompt(100);
  std::iota(prompt.begin(), prompt.end(), 0);
  const int32_t *promptTokens = prompt.data(), *systemTokens = prompt.data();
  int64_t promptLength = 100, systemLength = 64;

  // clang-format off
// Create prefix-aware KV cache
PrefixCacheConfig prefixConfig;
prefixConfig.maxCachedPrefixes = 1000;
prefixConfig.enableRadixTree = true;

PrefixAwareKVCache prefixCache(numLayers, numHeads, headDim, blockSize,
                                maxSeqLen, elementType, prefixConfig);

// Initialize sequence with automatic prefix reuse
int64_t cachedLength = prefixCache.initializeSequence(sequenceId, 
                                                       promptTokens, promptLength);
// cachedLength tokens loaded from cache, only need to compute remaining

// Cache system prompts
SystemPromptCache systemCache(prefixCache.getPrefixCache());
systemCache.registerSystemPrompt("assistant", systemTokens, systemLength);
  // clang-format on

  require(prefixCache.status());
  require(prefixCache.startStatus());
  // What a model would compute; here every element of a token is its number.
  auto compute = [&](int32_t sequence, const std::vector<int32_t> &tokens, int64_t from) {
    std::vector<uint16_t> data;
    for (int64_t layer = 0; layer < numLayers; ++layer)
      for (size_t t = static_cast<size_t>(from); t < tokens.size(); ++t)
        data.insert(data.end(), static_cast<size_t>(numHeads * headDim),
                    static_cast<uint16_t>(tokens[t]));
    require(prefixCache.appendKV(data.data(), data.data(), 1,
                                 static_cast<int64_t>(tokens.size()) - from, &sequence, nullptr));
    std::printf("sequence %d: %3d of %3d tokens came from the cache\n", sequence, int(from),
                int(tokens.size()));
    require(prefixCache.freeSequence(SequenceId{sequence}));
  };
  compute(sequenceId, prompt, cachedLength);

  std::vector<int32_t> question(prompt.begin(), prompt.begin() + 70);
  question.insert(question.end(), {7000, 7001, 7002});
  int64_t found = prefixCache.initializeSequence(2, question.data(), 73);
  require(prefixCache.startStatus());
  compute(2, question, found);

  // Others fill the pool many times over; the system prompt stays.
  int64_t pool = prefixCache.cache().pool().numBlocks();
  for (int32_t i = 0; i < 3 * pool * blockSize / maxSeqLen; ++i) {
    std::vector<int32_t> other(static_cast<size_t>(maxSeqLen));
    std::iota(other.begin(), other.end(), 100000 + i * 1000);
    int64_t cached = prefixCache.initializeSequence(3, other.data(), maxSeqLen);
    require(prefixCache.startStatus());
    std::vector<uint16_t> data(other.size() * static_cast<size_t>(numLayers * numHeads * headDim));
    int32_t id = 3;
    require(prefixCache.appendKV(data.data(), data.data(), 1, maxSeqLen - cached, &id, nullptr));
    require(prefixCache.freeSequence(SequenceId{3}));
  }
  int64_t kept = prefixCache.initializeSequence(4, promptTokens, promptLength);
  require(prefixCache.startStatus());
  compute(4, prompt, kept);
  const PrefixTreeStatistics &statistics = prefixCache.getPrefixCache().statistics();
  std::printf("%d blocks are cached, %d of them pinned; %d were evicted\n",
              int(statistics.memoryBlocks), int(statistics.pinnedBlocks),
              int(statistics.blocksEvicted));
  return cachedLength == 0 && found == 70 && kept == systemLength ? 0 : 1;
}
