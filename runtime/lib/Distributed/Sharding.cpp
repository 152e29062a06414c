// Divides layers, heads and sequences; checks a configuration.

#include "llmir/Distributed/Sharding.h"

#include <algorithm>
#include <string>

namespace llmir {

namespace {

Status checkDevices(const ShardingConfig &config) {
  if (config.numDevices < 1)
    return invalidArgument("expected at least one device, but got " +
                           std::to_string(config.numDevices));
  if (config.deviceIds.empty())
    return Status::ok();
  if (config.deviceIds.size() != static_cast<size_t>(config.numDevices))
    return invalidArgument("expected " + std::to_string(config.numDevices) +
                           " device ids, but got " + std::to_string(config.deviceIds.size()));
  std::vector<int32_t> sorted = config.deviceIds;
  std::sort(sorted.begin(), sorted.end());
  if (sorted.front() < 0)
    return invalidArgument("expected device ids of 0 or more, but got " +
                           std::to_string(sorted.front()));
  auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end())
    return invalidArgument("expected distinct device ids, but got " + std::to_string(*twice) +
                           " twice");
  return Status::ok();
}

Status checkEnough(const char *what, int64_t count, const ShardingConfig &config) {
  if (count >= config.numDevices)
    return Status::ok();
  return invalidArgument("expected at least one " + std::string(what) + " for each of " +
                         std::to_string(config.numDevices) + " devices, but got " +
                         std::to_string(count) + " in all");
}

} // namespace

ShardPart shardPart(int64_t count, int32_t parts, int32_t index) {
  int64_t each = count / parts, larger = count % parts;
  return {each * index + std::min<int64_t>(index, larger), each + (index < larger ? 1 : 0)};
}

StatusOr<std::vector<CacheShard>> planCacheShards(int64_t numLayers, int64_t numHeads,
                                                  const ShardingConfig &config) {
  LLMIR_RETURN_IF_ERROR(checkDevices(config));
  if (config.strategy == ShardingStrategy::LAYER_WISE)
    LLMIR_RETURN_IF_ERROR(checkEnough("layer", numLayers, config));
  if (config.strategy == ShardingStrategy::HEAD_WISE)
    LLMIR_RETURN_IF_ERROR(checkEnough("KV head", numHeads, config));
  std::vector<CacheShard> shards;
  for (int32_t i = 0; i < config.numDevices; ++i) {
    CacheShard shard{i, 0, numLayers, 0, numHeads};
    if (!config.deviceIds.empty())
      shard.deviceId = config.deviceIds[static_cast<size_t>(i)];
    if (config.strategy == ShardingStrategy::LAYER_WISE) {
      ShardPart layers = shardPart(numLayers, config.numDevices, i);
      shard.firstLayer = layers.first;
      shard.numLayers = layers.count;
    } else if (config.strategy == ShardingStrategy::HEAD_WISE) {
      ShardPart heads = shardPart(numHeads, config.numDevices, i);
      shard.firstHead = heads.first;
      shard.numHeads = heads.count;
    }
    shards.push_back(shard);
  }
  return shards;
}

} // namespace llmir
