// A KV cache divided among four devices, layer by layer: one call appends on all of them. Shows
// which device holds what, that what comes back is what went in, and that a full device stops an
// append everywhere.

#include "llmir/Distributed/DistributedPagedKVCache.h"

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
  int64_t numLayers = 14, numHeads = 4, headDim = 64, blockSize = 16, maxSeqLen = 512;
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
  int32_t *seqIds = ids.data(), *blockIndices = blocks.data();

  // clang-format off
// Configure sharding across 4 GPUs
ShardingConfig config;
config.strategy = ShardingStrategy::LAYER_WISE;
config.numDevices = 4;
config.deviceIds = {0, 1, 2, 3};

// Create distributed cache
DistributedPagedKVCache distCache(numLayers, numHeads, headDim, blockSize,
                                   maxSeqLen, elementType, config);

// Operations are automatically distributed
distCache.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices);
  // clang-format on

  require(distCache.status());
  for (int32_t i = 0; i < distCache.numDevices(); ++i) {
    const CacheShard &shard = distCache.shard(i);
    std::printf("device %d holds layers %d to %d: %d of %d blocks in use\n", shard.deviceId,
                int(shard.firstLayer), int(shard.firstLayer + shard.numLayers - 1),
                distCache.cache(i)->pool().numBlocks() - distCache.cache(i)->pool().numFree(),
                distCache.cache(i)->pool().numBlocks());
  }
  require(distCache.lookupKV(blockIndices, lengths.data(), batchSize, foundKeys.data(),
                             foundValues.data()));
  bool same = foundKeys == keys && foundValues == values;
  std::printf("found %s on the four devices together\n", same ? "the same" : "something else");

  std::vector<AppendRequest> requests = {{SequenceId{7}, 473}};
  std::vector<CacheStepTables> tables;
  Status full = distCache.reserve(requests, tables);
  std::printf("too much for one sequence: %s\n", full.message().c_str());
  return same && !full.isOk() ? 0 : 1;
}
