// DistributedPagedKVCache::appendKV and lookupKV: plain arrays of all layers and heads are divided
// among the devices, and collected from them.

#include "llmir/Distributed/DistributedPagedKVCache.h"

#include "ShardCopy.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <string>

namespace llmir {

namespace {

Status checkArrays(bool present, int64_t batchSize, int64_t seqLen) {
  if (batchSize < 0 || seqLen < 0)
    return invalidArgument("expected a batch and a number of tokens of 0 or more, but got " +
                           std::to_string(batchSize) + " and " + std::to_string(seqLen));
  if (!present && batchSize * seqLen > 0)
    return invalidArgument("expected arrays for " + std::to_string(batchSize) + " sequences of " +
                           std::to_string(seqLen) + " tokens, but got a null pointer");
  return Status::ok();
}

} // namespace

/// One lookup, as all devices see it. Keys and values have the same shape.
struct DistributedPagedKVCache::Lookup {
  ArrayShape shape;
  const int32_t *blocks = nullptr; ///< [rows, tokens]
  std::span<const int32_t> lengths;
  std::span<const int32_t> rowDevices;
  uint8_t *keys = nullptr;
  uint8_t *values = nullptr;
};

const std::vector<int64_t> &DistributedPagedKVCache::rowsOn(std::span<const int32_t> rowDevices,
                                                            int32_t device) {
  std::vector<int64_t> &rows = scratch_.rows;
  rows.resize(rowDevices.size());
  std::iota(rows.begin(), rows.end(), int64_t(0));
  if (isSequenceWise())
    std::erase_if(rows,
                  [&](int64_t row) { return rowDevices[static_cast<size_t>(row)] != device; });
  return rows;
}

Status DistributedPagedKVCache::appendTo(int32_t device, const void *keyPtr, const void *valuePtr,
                                         int64_t seqLen) {
  const std::vector<int64_t> &rows = rowsOn(placement_.devices, device);
  ArrayShape shape{static_cast<int64_t>(placement_.requests.size()), seqLen, parameters_.numKVHeads,
                   parameters_.keyHeadDim * elementSize(parameters_.keyType)};
  ArrayPart part{&shard(device), &rows, seqLen};
  auto bytes = static_cast<size_t>(part.bytes(shape));
  scratch_.keys.resize(bytes);
  scratch_.values.resize(bytes);
  copyPartOut(shape, part, static_cast<const uint8_t *>(keyPtr), scratch_.keys.data());
  copyPartOut(shape, part, static_cast<const uint8_t *>(valuePtr), scratch_.values.data());
  std::vector<int32_t> &ids = scratch_.rowIds, &found = scratch_.rowBlocks;
  ids.clear();
  for (int64_t row : rows)
    ids.push_back(static_cast<int32_t>(placement_.requests[static_cast<size_t>(row)].sequence));
  found.resize(rows.size() * static_cast<size_t>(seqLen));
  LLMIR_RETURN_IF_ERROR(cache(device)->appendKV(scratch_.keys.data(), scratch_.values.data(),
                                                static_cast<int64_t>(rows.size()), seqLen,
                                                ids.data(), found.data()));
  auto offset = static_cast<int32_t>(isSequenceWise() ? device * blocksPerDevice_ : 0);
  auto source = found.begin();
  for (int64_t row : rows)
    for (int64_t token = 0; token < seqLen; ++token) {
      int32_t &block = scratch_.blocks[static_cast<size_t>(row * seqLen + token)];
      int32_t here = *source++ + offset;
      if (block >= 0 && block != here)
        return internalError("device " + std::to_string(shard(device).deviceId) + " put token " +
                             std::to_string(token) + " of row " + std::to_string(row) +
                             " into block " + std::to_string(here) + ", the others into " +
                             std::to_string(block) + ": its cache was changed apart");
      block = here;
    }
  return Status::ok();
}

Status DistributedPagedKVCache::mergeBlocks(int64_t seqLen) {
  if (!collective_ || !isSequenceWise())
    return Status::ok();
  std::vector<int32_t> &blocks = scratch_.blocks, &all = scratch_.allBlocks;
  all.resize(blocks.size() * static_cast<size_t>(numDevices()));
  LLMIR_RETURN_IF_ERROR(collective_->allGatherHost(
      blocks.data(), all.data(), static_cast<int64_t>(blocks.size() * sizeof(int32_t))));
  for (size_t row = 0; row < placement_.devices.size(); ++row) {
    auto first = static_cast<int64_t>(row) * seqLen;
    auto part = all.begin() + placement_.devices[row] * static_cast<int64_t>(blocks.size()) + first;
    std::copy(part, part + seqLen, blocks.begin() + first);
  }
  return Status::ok();
}

Status DistributedPagedKVCache::appendKV(const void *keyPtr, const void *valuePtr,
                                         int64_t batchSize, int64_t seqLen, const int32_t *seqIds,
                                         int32_t *blockIndices) {
  Status arguments = checkArrays(keyPtr && valuePtr && seqIds, batchSize, seqLen);
  std::vector<AppendRequest> &requests = scratch_.requests;
  requests.clear();
  for (int64_t row = 0; row < batchSize && arguments.isOk() && seqIds; ++row)
    requests.push_back({SequenceId{seqIds[row]}, seqLen});
  LLMIR_RETURN_IF_ERROR(prepare(requests, arguments));

  std::vector<int32_t> &blocks = scratch_.blocks;
  blocks.assign(requests.size() * static_cast<size_t>(seqLen), -1);
  for (int32_t device = 0; device < numDevices(); ++device)
    if (cache(device))
      LLMIR_RETURN_IF_ERROR(appendTo(device, keyPtr, valuePtr, seqLen));
  recordAppend();
  LLMIR_RETURN_IF_ERROR(mergeBlocks(seqLen));
  if (blockIndices)
    std::copy(blocks.begin(), blocks.end(), blockIndices);
  return Status::ok();
}

Status DistributedPagedKVCache::findDevicesOfRows(const int32_t *blockIndices,
                                                  std::span<const int32_t> seqLens,
                                                  int64_t tokens) {
  std::vector<int32_t> &devices = scratch_.rowDevices;
  devices.assign(seqLens.size(), 0);
  if (!isSequenceWise())
    return Status::ok();
  int64_t blocks = blocksPerDevice_ * numDevices();
  for (size_t row = 0; row < seqLens.size(); ++row)
    for (int64_t token = 0; token < seqLens[row]; ++token) {
      int32_t block = blockIndices[static_cast<int64_t>(row) * tokens + token];
      if (block < 0 || block >= blocks)
        return invalidArgument("expected a block of 0 to " + std::to_string(blocks - 1) +
                               " for token " + std::to_string(token) + " in row " +
                               std::to_string(row) + ", but got " + std::to_string(block));
      auto device = static_cast<int32_t>(block / blocksPerDevice_);
      if (token > 0 && device != devices[row])
        return invalidArgument("expected the blocks of row " + std::to_string(row) +
                               " to be on one device, but token " + std::to_string(token) +
                               " is on device " + std::to_string(shard(device).deviceId) +
                               " and those before it on " +
                               std::to_string(shard(devices[row]).deviceId));
      devices[row] = device;
    }
  return Status::ok();
}

Status DistributedPagedKVCache::lookUpOn(int32_t device, const Lookup &lookup, uint8_t *part) {
  const std::vector<int64_t> &rows = rowsOn(lookup.rowDevices, device);
  std::vector<int32_t> &lengths = scratch_.rowLengths, &blocks = scratch_.rowBlocks;
  lengths.clear();
  blocks.clear();
  for (int64_t row : rows)
    lengths.push_back(lookup.lengths[static_cast<size_t>(row)]);
  int32_t tokens = lengths.empty() ? 0 : *std::max_element(lengths.begin(), lengths.end());
  auto offset = static_cast<int32_t>(isSequenceWise() ? device * blocksPerDevice_ : 0);
  for (int64_t row : rows)
    for (int64_t token = 0; token < tokens; ++token)
      blocks.push_back(lookup.blocks[row * lookup.shape.tokens + token] - offset);
  uint8_t *values = part + ArrayPart{&shard(device), &rows, tokens}.bytes(lookup.shape);
  return onDevice(device, cache(device)->lookupKV(blocks.data(), lengths.data(),
                                                  static_cast<int64_t>(rows.size()), part, values));
}

void DistributedPagedKVCache::unpack(int32_t device, const Lookup &lookup, const uint8_t *part) {
  const std::vector<int64_t> &rows = rowsOn(lookup.rowDevices, device);
  int64_t tokens = 0;
  for (int64_t row : rows)
    tokens = std::max<int64_t>(tokens, lookup.lengths[static_cast<size_t>(row)]);
  ArrayPart array{&shard(device), &rows, tokens};
  copyPartIn(lookup.shape, array, part, lookup.keys);
  copyPartIn(lookup.shape, array, part + array.bytes(lookup.shape), lookup.values);
}

Status DistributedPagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                                         int64_t batchSize, void *outputKeys, void *outputValues) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(agree(checkArrays(seqLens, batchSize, 1)));
  Lookup lookup;
  lookup.lengths = {seqLens, static_cast<size_t>(batchSize)};
  int32_t tokens = 0;
  Status mine;
  for (int32_t length : lookup.lengths) {
    if (length < 0 || length > parameters_.maxSeqLen)
      mine = invalidArgument("expected a length of 0 to " + std::to_string(parameters_.maxSeqLen) +
                             ", but got " + std::to_string(length));
    tokens = std::max(tokens, length);
  }
  if (mine.isOk())
    mine = checkArrays(blockIndices && outputKeys && outputValues, batchSize, tokens);
  lookup.shape = {batchSize, tokens, parameters_.numKVHeads,
                  parameters_.keyHeadDim * elementSize(parameters_.keyType)};
  lookup.blocks = blockIndices;
  lookup.keys = static_cast<uint8_t *>(outputKeys);
  lookup.values = static_cast<uint8_t *>(outputValues);
  if (mine.isOk()) {
    mine = findDevicesOfRows(blockIndices, lookup.lengths, tokens);
    lookup.rowDevices = scratch_.rowDevices;
  }
  return lookUp(lookup, mine);
}

Status DistributedPagedKVCache::lookUp(const Lookup &lookup, Status mine) {
  // A part is at most what the largest device holds of all rows.
  std::vector<int64_t> &everyRow = scratch_.everyRow;
  everyRow.resize(lookup.rowDevices.size());
  std::iota(everyRow.begin(), everyRow.end(), int64_t(0));
  int64_t bytes = 0;
  for (const CacheShard &shard : shards_)
    bytes =
        std::max(bytes, 2 * ArrayPart{&shard, &everyRow, lookup.shape.tokens}.bytes(lookup.shape));
  auto size = static_cast<size_t>(mine.isOk() ? bytes : 0);
  std::vector<uint8_t> &parts = scratch_.parts;
  parts.resize(size * shards_.size());
  for (int32_t device = 0; device < numDevices() && mine.isOk(); ++device)
    if (cache(device))
      mine = lookUpOn(device, lookup, parts.data() + size * static_cast<size_t>(device));
  LLMIR_RETURN_IF_ERROR(agree(mine));
  if (collective_) {
    uint8_t *own = parts.data() + size * static_cast<size_t>(collective_->rank());
    scratch_.part.assign(own, own + size);
    LLMIR_RETURN_IF_ERROR(collective_->allGatherHost(scratch_.part.data(), parts.data(), bytes));
  }
  if (isSequenceWise() && size > 0) {
    // Devices know nothing of tokens past their own longest sequence.
    auto whole =
        static_cast<size_t>(parameters_.numLayers * lookup.shape.rows * lookup.shape.tokens *
                            lookup.shape.heads * lookup.shape.headBytes);
    std::memset(lookup.keys, 0, whole);
    std::memset(lookup.values, 0, whole);
  }
  for (int32_t device = 0; device < numDevices(); ++device)
    unpack(device, lookup, parts.data() + size * static_cast<size_t>(device));
  return Status::ok();
}

StatusOr<std::vector<int32_t>>
DistributedPagedKVCache::blockOfEachToken(SequenceId sequence) const {
  StatusOr<int32_t> device = deviceOf(sequence);
  if (!device)
    return device.status();
  int32_t from = collective_ && !isSequenceWise() ? collective_->rank() : *device;
  if (!cache(from))
    return failedPrecondition(describe(sequence) + " is on rank " + std::to_string(from) +
                              ", and this is rank " + std::to_string(collective_->rank()));
  StatusOr<std::span<const BlockId>> table = cache(from)->blocks(sequence);
  if (!table)
    return table.status();
  auto offset = static_cast<int32_t>(isSequenceWise() ? from * blocksPerDevice_ : 0);
  std::vector<int32_t> blocks;
  for (int64_t position = 0; position < sequences_.at(sequence).length; ++position)
    blocks.push_back((*table)[static_cast<size_t>(position / parameters_.blockSize)].index +
                     offset);
  return blocks;
}

} // namespace llmir
