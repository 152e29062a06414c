// DistributedPagedKVCache: a KV cache divided among devices, each with a PagedKVCache of its own.
// Either one process holds all of them, or each rank of a collective holds one and all ranks call
// the same operations. It divides and collects; it does not compute attention
// (docs/Distributed.md).

#ifndef LLMIR_DISTRIBUTED_DISTRIBUTEDPAGEDKVCACHE_H
#define LLMIR_DISTRIBUTED_DISTRIBUTEDPAGEDKVCACHE_H

#include "llmir/Base/NodeReuse.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Distributed/Collective.h"
#include "llmir/Distributed/Sharding.h"

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace llmir {

/// Layer- and head-wise, every device has all sequences and the same block ids. Sequence-wise, a
/// sequence is on one device from its first token to its last: the one that holds the fewest tokens
/// when it starts (the first of those); a fork is where its parent is; and block ids count on from
/// device to device. One thread at a time. With a collective, an operation that can fail is agreed
/// on: it happens on every rank, or fails on every rank with the reason of the first that cannot.
class DistributedPagedKVCache {
public:
  /// A cache as PagedKVCache's, divided as `config` says. With a `collective` (of as many ranks as
  /// devices; it must outlive the cache; one over device memory needs HostStaging) this process
  /// holds the shard of its rank only. f32, f16 and bf16. A constructor that fails leaves status(),
  /// which every later call returns.
  DistributedPagedKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
                          int64_t maxSeqLen, ElementType elementType, const ShardingConfig &config,
                          Collective *collective = nullptr);
  DistributedPagedKVCache(const DistributedPagedKVCache &) = delete;
  DistributedPagedKVCache &operator=(const DistributedPagedKVCache &) = delete;

  /// Ok, or why the constructor failed.
  const Status &status() const { return status_; }
  int32_t numDevices() const { return static_cast<int32_t>(shards_.size()); }
  /// What device `index` (in the order of the configuration) holds.
  const CacheShard &shard(int32_t index) const { return shards_[static_cast<size_t>(index)]; }
  /// Its cache; null when another rank holds it. Compiled steps read and write it in place; what
  /// changes its sequences goes through this class, so that the devices stay alike.
  PagedKVCache *cache(int32_t index) const { return caches_[static_cast<size_t>(index)].get(); }
  /// Blocks of each device's pool.
  int64_t blocksPerDevice() const { return blocksPerDevice_; }

  /// Makes room for every request on every device that it concerns, or for none on any. Fills
  /// tables[i] for each device i that this process holds: sequence-wise with those requests whose
  /// sequences live there, in their order. ResourceExhausted names the device and its numbers.
  Status reserve(std::span<const AppendRequest> requests, std::vector<CacheStepTables> &tables);
  /// Appends `seqLen` tokens to each of `batchSize` sequences: PagedKVCache::appendKV with arrays
  /// of all layers and heads, of which each device stores its part. All or nothing, as reserve().
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices);
  /// Collects the first seqLens[b] tokens of each sequence from all devices:
  /// PagedKVCache::lookupKV, and the same outputs on every rank. Sequence-wise, the blocks of a row
  /// must be on one device.
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues);

  /// As in PagedKVCache, on every device that the sequence is on. All ranks must call them.
  Status truncate(SequenceId sequence, int64_t length);
  Status freeSequence(SequenceId sequence);
  Status fork(SequenceId parent, SequenceId child);

  bool contains(SequenceId sequence) const { return sequences_.count(sequence) != 0; }
  size_t numSequences() const { return sequences_.size(); }
  /// Tokens of a sequence; NotFound when there is none.
  StatusOr<int64_t> length(SequenceId sequence) const;
  /// The index of the device that a sequence is on, sequence-wise; else 0, as all devices have it.
  StatusOr<int32_t> deviceOf(SequenceId sequence) const;
  /// Blocks of a sequence as appendKV reports them: one for each position, [length]. With a
  /// collective sequence-wise, FailedPrecondition where another rank holds it.
  StatusOr<std::vector<int32_t>> blockOfEachToken(SequenceId sequence) const;

private:
  struct Sequence {
    int64_t length = 0;
    int32_t device = 0;
  };
  /// Requests with the device of each (sequence-wise).
  struct Placement {
    std::vector<AppendRequest> requests;
    std::vector<int32_t> devices;
  };

  bool isSequenceWise() const { return config_.strategy == ShardingStrategy::SEQUENCE_WISE; }
  Status initialize(const CacheParameters &parameters);
  int64_t defaultBlocks(int64_t blockBytes) const;
  /// Fills placement_.
  Status placeRequests(std::span<const AppendRequest> requests);
  /// Places, checks every device of this process, and agrees with the other ranks.
  Status prepare(std::span<const AppendRequest> requests, const Status &arguments);
  /// Those of placement_ that concern a device; valid until the next call.
  std::span<const AppendRequest> requestsOn(int32_t device);
  Status checkRoom(int32_t device);
  /// A status of a device's cache with the device's name before it.
  Status onDevice(int32_t device, Status status) const;
  void recordAppend();
  Status agree(const Status &mine);
  /// Numbers of the rows whose sequences are on `device`, all of them unless sequence-wise; valid
  /// until the next call.
  const std::vector<int64_t> &rowsOn(std::span<const int32_t> rowDevices, int32_t device);
  Status appendTo(int32_t device, const void *keyPtr, const void *valuePtr, int64_t seqLen);
  Status mergeBlocks(int64_t seqLen);
  Status findDevicesOfRows(const int32_t *blockIndices, std::span<const int32_t> seqLens,
                           int64_t tokens);
  struct Lookup;
  /// The lookup itself, unless `mine` is an error, which the other ranks learn.
  Status lookUp(const Lookup &lookup, Status mine);
  Status lookUpOn(int32_t device, const Lookup &lookup, uint8_t *part);
  void unpack(int32_t device, const Lookup &lookup, const uint8_t *part);

  Status status_;
  CacheParameters parameters_;
  ShardingConfig config_;
  Collective *collective_ = nullptr;
  int64_t blocksPerDevice_ = 0;
  std::vector<CacheShard> shards_;
  std::vector<std::unique_ptr<PagedKVCache>> caches_; ///< Null where another rank holds it.
  using SequenceMap = std::unordered_map<SequenceId, Sequence>;
  SequenceMap sequences_;
  std::vector<int64_t> tokensOn_; ///< Of each device.
  Placement placement_;           ///< Of the append under way.
  // Kept so that nothing is allocated again and again.
  NodeReuse<SequenceMap> endedSequences_;
  struct Scratch {
    std::vector<SequenceId> ids;
    std::vector<int64_t> tokensOn;
    std::vector<AppendRequest> requests, deviceRequests;
    std::vector<int32_t> blocks;     ///< [rows, tokens]: of an append.
    std::vector<int32_t> allBlocks;  ///< [devices, rows, tokens]
    std::vector<int32_t> rowDevices; ///< Of a lookup, sequence-wise: where each row's blocks are.
    std::vector<int64_t> rows, everyRow;
    std::vector<int32_t> rowIds, rowLengths, rowBlocks; ///< What one device is told.
    std::vector<uint8_t> keys, values, part, parts;
  };
  Scratch scratch_;
};

} // namespace llmir

#endif // LLMIR_DISTRIBUTED_DISTRIBUTEDPAGEDKVCACHE_H
