// DistributedPagedKVCache: construction, placement, reservation and the life of sequences. Copying
// keys and values in and out is in DistributedPagedKVCacheCopy.cpp. Every rank keeps the same
// records of sequences, so that only what depends on a pool needs agreement.

#include "llmir/Distributed/DistributedPagedKVCache.h"

#include <unistd.h>

#include <algorithm>
#include <limits>
#include <string>

namespace llmir {

namespace {

Status unknownSequence(SequenceId sequence) { return notFound("unknown " + describe(sequence)); }

Status checkNamedOnce(std::span<const AppendRequest> requests, std::vector<SequenceId> &ids) {
  ids.clear();
  for (const AppendRequest &request : requests)
    ids.push_back(request.sequence);
  std::sort(ids.begin(), ids.end());
  auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice == ids.end())
    return Status::ok();
  return invalidArgument("expected each sequence once, but got " + describe(*twice) + " twice");
}

} // namespace

DistributedPagedKVCache::DistributedPagedKVCache(int64_t numLayers, int64_t numHeads,
                                                 int64_t headDim, int64_t blockSize,
                                                 int64_t maxSeqLen, ElementType elementType,
                                                 const ShardingConfig &config,
                                                 Collective *collective)
    : config_(config), collective_(collective) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = elementType;
  parameters.numLayers = numLayers;
  parameters.numKVHeads = numHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = headDim;
  parameters.blockSize = blockSize;
  parameters.maxSeqLen = maxSeqLen;
  status_ = initialize(parameters).withContext("distributed KV cache");
}

Status DistributedPagedKVCache::initialize(const CacheParameters &parameters) {
  parameters_ = parameters;
  if (!isFloatArrayType(parameters.keyType))
    return invalidArgument("expected f32, f16 or bf16 elements, but got " +
                           elementTypeName(parameters.keyType));
  StatusOr<llmir_cache_layout> whole = makeCacheLayout(parameters);
  if (!whole)
    return whole.status();
  StatusOr<std::vector<CacheShard>> shards =
      planCacheShards(parameters.numLayers, parameters.numKVHeads, config_);
  if (!shards)
    return shards.status();
  if (collective_ && collective_->size() != config_.numDevices)
    return invalidArgument("expected a collective of as many ranks as devices, but got " +
                           std::to_string(collective_->size()) + " and " +
                           std::to_string(config_.numDevices));

  blocksPerDevice_ = config_.blocksPerDevice.value_or(defaultBlocks(whole->block_stride));
  // Block ids count on from device to device, and slots are 32-bit.
  int64_t most = std::numeric_limits<int32_t>::max() / parameters.blockSize / config_.numDevices;
  if (blocksPerDevice_ < 1 || blocksPerDevice_ > most)
    return invalidArgument("expected 1 to " + std::to_string(most) + " blocks a device, but got " +
                           std::to_string(blocksPerDevice_));
  for (int32_t i = 0; i < config_.numDevices; ++i) {
    const CacheShard &shard = (*shards)[static_cast<size_t>(i)];
    std::unique_ptr<PagedKVCache> cache;
    if (!collective_ || collective_->rank() == i) {
      CacheParameters mine = parameters;
      mine.numLayers = shard.numLayers;
      mine.numKVHeads = shard.numHeads;
      cache = std::make_unique<PagedKVCache>(mine, blocksPerDevice_);
      LLMIR_RETURN_IF_ERROR(
          cache->status().withContext("device " + std::to_string(shard.deviceId)));
    }
    caches_.push_back(std::move(cache));
  }
  shards_ = *std::move(shards);
  tokensOn_.assign(shards_.size(), 0);
  return Status::ok();
}

int64_t DistributedPagedKVCache::defaultBlocks(int64_t blockBytes) const {
  int64_t perSequence = (parameters_.maxSeqLen + parameters_.blockSize - 1) / parameters_.blockSize;
  int64_t memory = int64_t(sysconf(_SC_PHYS_PAGES)) * int64_t(sysconf(_SC_PAGESIZE));
  // All devices of a process together hold whole blocks, sequence-wise one of each device.
  int64_t wanted = 4 * perSequence, fitting = memory / 4 / blockBytes;
  if (isSequenceWise()) {
    wanted = (wanted + config_.numDevices - 1) / config_.numDevices;
    fitting /= config_.numDevices;
  }
  int64_t most = std::numeric_limits<int32_t>::max() / parameters_.blockSize / config_.numDevices;
  return std::min(most, std::max(perSequence, std::min(wanted, fitting)));
}

Status DistributedPagedKVCache::agree(const Status &mine) {
  return collective_ ? collective_->agree(mine) : mine;
}

Status DistributedPagedKVCache::placeRequests(std::span<const AppendRequest> requests) {
  LLMIR_RETURN_IF_ERROR(checkNamedOnce(requests, scratch_.ids));
  placement_.requests.clear();
  placement_.devices.clear();
  std::vector<int64_t> &tokensOn = scratch_.tokensOn;
  tokensOn = tokensOn_;
  for (const AppendRequest &request : requests) {
    if (request.tokens < 0)
      return invalidArgument("expected 0 or more tokens for " + describe(request.sequence) +
                             ", but got " + std::to_string(request.tokens));
    auto found = sequences_.find(request.sequence);
    int64_t length = found == sequences_.end() ? 0 : found->second.length;
    if (request.tokens > parameters_.maxSeqLen - length)
      return resourceExhausted(describe(request.sequence) + " is full: has " +
                               std::to_string(length) + " tokens, cannot take " +
                               std::to_string(request.tokens) + " more of at most " +
                               std::to_string(parameters_.maxSeqLen));
    int64_t device = 0;
    if (found != sequences_.end())
      device = found->second.device;
    else if (isSequenceWise())
      device = std::min_element(tokensOn.begin(), tokensOn.end()) - tokensOn.begin();
    tokensOn[static_cast<size_t>(device)] += request.tokens;
    placement_.requests.push_back(request);
    placement_.devices.push_back(static_cast<int32_t>(device));
  }
  return Status::ok();
}

std::span<const AppendRequest> DistributedPagedKVCache::requestsOn(int32_t device) {
  if (!isSequenceWise())
    return placement_.requests;
  std::vector<AppendRequest> &requests = scratch_.deviceRequests;
  requests.clear();
  for (size_t i = 0; i < placement_.requests.size(); ++i)
    if (placement_.devices[i] == device)
      requests.push_back(placement_.requests[i]);
  return requests;
}

Status DistributedPagedKVCache::checkRoom(int32_t device) {
  const PagedKVCache &cache = *this->cache(device);
  LLMIR_RETURN_IF_ERROR(cache.status());
  int64_t blocks = 0;
  for (const AppendRequest &request : requestsOn(device))
    blocks += cache.blocksNeeded(request.sequence, request.tokens);
  return cache.pool().checkFree(blocks);
}

Status DistributedPagedKVCache::prepare(std::span<const AppendRequest> requests,
                                        const Status &arguments) {
  LLMIR_RETURN_IF_ERROR(status_);
  Status mine = arguments;
  if (mine.isOk())
    mine = placeRequests(requests);
  for (int32_t device = 0; device < numDevices() && mine.isOk(); ++device)
    if (cache(device))
      mine = onDevice(device, checkRoom(device));
  return agree(mine);
}

Status DistributedPagedKVCache::onDevice(int32_t device, Status status) const {
  return status.isOk() ? status
                       : status.withContext("device " + std::to_string(shard(device).deviceId));
}

void DistributedPagedKVCache::recordAppend() {
  for (size_t i = 0; i < placement_.requests.size(); ++i) {
    const AppendRequest &request = placement_.requests[i];
    auto [entry, isNew] = endedSequences_.add(sequences_, request.sequence);
    Sequence &sequence = entry->second;
    if (isNew)
      sequence.length = 0;
    sequence.device = placement_.devices[i];
    sequence.length += request.tokens;
    tokensOn_[static_cast<size_t>(sequence.device)] += request.tokens;
  }
}

Status DistributedPagedKVCache::reserve(std::span<const AppendRequest> requests,
                                        std::vector<CacheStepTables> &tables) {
  LLMIR_RETURN_IF_ERROR(prepare(requests, Status::ok()));
  tables.resize(shards_.size());
  for (int32_t device = 0; device < numDevices(); ++device)
    if (cache(device))
      LLMIR_RETURN_IF_ERROR(
          cache(device)->reserve(requestsOn(device), tables[static_cast<size_t>(device)]));
  recordAppend();
  return Status::ok();
}

Status DistributedPagedKVCache::truncate(SequenceId id, int64_t length) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  Sequence &sequence = found->second;
  if (length < 0 || length > sequence.length)
    return invalidArgument("expected a length of 0 to " + std::to_string(sequence.length) +
                           " for " + describe(id) + ", but got " + std::to_string(length));
  for (const std::unique_ptr<PagedKVCache> &cache : caches_)
    if (cache && cache->contains(id))
      LLMIR_RETURN_IF_ERROR(cache->truncate(id, length));
  tokensOn_[static_cast<size_t>(sequence.device)] -= sequence.length - length;
  sequence.length = length;
  return Status::ok();
}

Status DistributedPagedKVCache::freeSequence(SequenceId id) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  for (const std::unique_ptr<PagedKVCache> &cache : caches_)
    if (cache && cache->contains(id))
      LLMIR_RETURN_IF_ERROR(cache->freeSequence(id));
  tokensOn_[static_cast<size_t>(found->second.device)] -= found->second.length;
  endedSequences_.erase(sequences_, found);
  return Status::ok();
}

Status DistributedPagedKVCache::fork(SequenceId parent, SequenceId child) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(parent);
  if (found == sequences_.end())
    return unknownSequence(parent);
  if (contains(child))
    return failedPrecondition("cannot fork into " + describe(child) + ": it exists");
  for (const std::unique_ptr<PagedKVCache> &cache : caches_)
    if (cache && cache->contains(parent))
      LLMIR_RETURN_IF_ERROR(cache->fork(parent, child));
  Sequence copy = found->second;
  tokensOn_[static_cast<size_t>(copy.device)] += copy.length;
  endedSequences_.add(sequences_, child).first->second = copy;
  return Status::ok();
}

StatusOr<int64_t> DistributedPagedKVCache::length(SequenceId id) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  return found->second.length;
}

StatusOr<int32_t> DistributedPagedKVCache::deviceOf(SequenceId id) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return unknownSequence(id);
  return found->second.device;
}

} // namespace llmir
