// Speculative decoding: a draft on a branch is verified by the target's log-probabilities and the
// accepted tokens are committed; then a tree of drafts, of which one path is. Shows that nothing of
// the sequence changes before a commit.

#include "llmir/Cache/SpeculativeKVCache.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
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
  std::vector<uint16_t> data(static_cast<size_t>(numLayers * numHeads * headDim * 20), 0x3c00);
  const void *keyData = data.data(), *valueData = data.data();
  int32_t sequenceId = 1;
  int64_t numDraftTokens = 5, numTokens = 5;
  // The target is sure of the first three draft tokens and rules the fourth out.
  std::vector<float> logs = {0, 0, 0, -INFINITY, 0};
  const float *targetLogProbs = logs.data();

  // clang-format off
// Create speculative KV cache
SpeculativeConfig specConfig;
specConfig.maxDraftTokens = 8;
specConfig.enableTreeAttention = true;

SpeculativeKVCache specCache(numLayers, numHeads, headDim, blockSize,
                              maxSeqLen, elementType, specConfig);
  // clang-format on

  require(specCache.status());
  require(specCache.cache().appendKV(keyData, valueData, 1, 20, &sequenceId, nullptr));

  // clang-format off
// Create a branch for speculation
int32_t branchId;
specCache.createBranch(sequenceId, branchId);

// Append speculative (draft) KV
specCache.appendSpeculativeKV(keyData, valueData, sequenceId, numDraftTokens, branchId);

// Verify and commit accepted tokens
VerificationResult result;
specCache.verifySpeculation(sequenceId, branchId, targetLogProbs, numTokens, result);
specCache.commitSpeculation(sequenceId, branchId, result.acceptedCount);
  // clang-format on

  auto length = [&] { return int(*specCache.cache().length(SequenceId{sequenceId})); };
  std::printf("accepted %d of %d draft tokens: the sequence has %d tokens\n",
              int(result.acceptedCount), int(numDraftTokens), length());
  bool good = result.acceptedCount == 3 && length() == 23;

  // Two continuations, one of them with two of its own; token 3 follows token 1.
  std::vector<int32_t> parents = {-1, -1, 0, 1};
  require(specCache.createBranch(sequenceId, branchId));
  require(specCache.appendSpeculativeKV(keyData, valueData, sequenceId, parents, branchId));
  const TokenTree *tree = *specCache.branchTree(sequenceId, branchId);
  for (int64_t token = 0; token < tree->size(); ++token)
    std::printf("draft token %d: position %d, sees draft tokens 0b%d%d%d%d\n", int(token),
                length() + int(tree->depth(token)), int(tree->mask(token) >> 3 & 1),
                int(tree->mask(token) >> 2 & 1), int(tree->mask(token) >> 1 & 1),
                int(tree->mask(token) & 1));
  logs = {-INFINITY, 0, 0, 0};
  require(specCache.verifySpeculation(sequenceId, branchId, logs.data(), 4, result));
  std::printf("before the commit the sequence has %d tokens", length());
  require(specCache.commitSpeculation(sequenceId, branchId, result.acceptedPath));
  std::printf(", after it %d\n", length());
  return good && result.acceptedCount == 2 && length() == 25 ? 0 : 1;
}
