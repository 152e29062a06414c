// How a KV cache is divided among devices: which layers, heads or sequences each one holds. Plain
// arithmetic; DistributedPagedKVCache does the work.

#ifndef LLMIR_DISTRIBUTED_SHARDING_H
#define LLMIR_DISTRIBUTED_SHARDING_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace llmir {

/// What is divided among the devices.
enum class ShardingStrategy {
  LAYER_WISE,   ///< A range of layers each: what pipeline parallelism wants.
  HEAD_WISE,    ///< A range of KV heads each: what tensor parallelism wants.
  SEQUENCE_WISE ///< Whole sequences: what replicas of a model want.
};

/// How a cache is divided.
struct ShardingConfig {
  ShardingStrategy strategy = ShardingStrategy::LAYER_WISE;
  int32_t numDevices = 1;
  /// The devices' numbers, for messages and for callers; empty means 0, 1, 2, ….
  std::vector<int32_t> deviceIds;
  /// Blocks of each device's pool. The default is enough for four sequences of the greatest length
  /// (sequence-wise: among all devices, but at least one each), within a quarter of the memory.
  std::optional<int64_t> blocksPerDevice;
};

/// What one device holds: these layers and KV heads of every sequence, or of its sequences.
struct CacheShard {
  int32_t deviceId = 0;
  int64_t firstLayer = 0;
  int64_t numLayers = 0;
  int64_t firstHead = 0;
  int64_t numHeads = 0;

  friend bool operator==(const CacheShard &, const CacheShard &) = default;
};

/// Part `index` of `count` things divided among `parts`: sizes differ by one at most, and the first
/// parts are the larger ones.
struct ShardPart {
  int64_t first = 0;
  int64_t count = 0;
};
ShardPart shardPart(int64_t count, int32_t parts, int32_t index);

/// The shards in the order of the devices. InvalidArgument, with the numbers, for fewer layers or
/// heads than devices, no devices, or ids that are not one each, distinct and 0 or more.
StatusOr<std::vector<CacheShard>> planCacheShards(int64_t numLayers, int64_t numHeads,
                                                  const ShardingConfig &config);

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_SHARDING_H
