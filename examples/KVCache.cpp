// The paged KV cache: two sequences grow by a prompt and come back out, then one is forked. Shows
// where tokens lie and what a fork costs.

#include "llmir/Cache/PagedKVCache.h"

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
  int64_t numLayers = 12, numHeads = 16, headDim = 64, blockSize = 16, maxSeqLen = 4096;
  ElementType elementType = ElementType::F32;
  int64_t batchSize = 2, seqLen = 40;
  auto count = static_cast<size_t>(numLayers * batchSize * seqLen * numHeads * headDim);
  std::vector<float> keys(count), values(count), foundKeys(count), foundValues(count);
  for (size_t i = 0; i < count; ++i) {
    keys[i] = static_cast<float>(i % 1000);
    values[i] = -keys[i];
  }
  std::vector<int32_t> ids = {7, 8}, lengths = {40, 40};
  std::vector<int32_t> blocks(static_cast<size_t>(batchSize * seqLen));
  const void *keyPtr = keys.data(), *valuePtr = values.data();
  void *outputKeys = foundKeys.data(), *outputValues = foundValues.data();
  int32_t *seqIds = ids.data(), *seqLens = lengths.data(), *blockIndices = blocks.data();

  // clang-format off
// Create a KV cache for a model
PagedKVCache cache(numLayers, numHeads, headDim, blockSize, maxSeqLen, elementType);

// Append new KV pairs to the cache
cache.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices);

// Lookup existing KV pairs
cache.lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues);
  // clang-format on

  require(cache.status());
  bool same = foundKeys == keys && foundValues == values;
  std::printf("appended %d tokens to each of %d sequences and found %s\n", int(seqLen),
              int(batchSize), same ? "the same" : "something else");
  std::printf("a block of %d tokens has %d KiB; the pool has %d blocks, %d of them free\n",
              int(blockSize), int(cache.layout().block_stride / 1024), cache.pool().numBlocks(),
              cache.pool().numFree());
  for (int64_t b = 0; b < batchSize; ++b)
    std::printf("sequence %d: token 0 is in block %d, token %d in block %d\n", ids[size_t(b)],
                blocks[size_t(b * seqLen)], int(seqLen - 1), blocks[size_t((b + 1) * seqLen - 1)]);

  int32_t before = cache.pool().numFree();
  require(cache.fork(SequenceId{7}, SequenceId{9}));
  std::printf("forking sequence 7 took %d blocks", before - cache.pool().numFree());
  int32_t child = 9;
  require(cache.appendKV(keyPtr, valuePtr, 1, 1, &child, nullptr));
  std::printf(", its first own token %d\n", before - cache.pool().numFree());
  return same ? 0 : 1;
}
