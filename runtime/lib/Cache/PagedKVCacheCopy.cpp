// PagedKVCache::appendKV and lookupKV: keys and values between plain arrays and blocks, for callers
// without compiled code. Tokens that lie side by side in a block move together; CacheCodec knows
// how.

#include "llmir/Cache/PagedKVCache.h"

#include "MemoryHints.h"

#include <algorithm>
#include <cstring>
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

/// How many of `slots` from `begin` on lie side by side in one block.
size_t runLength(std::span<const int32_t> slots, size_t begin, int32_t blockSize) {
  size_t end = begin + 1;
  while (end < slots.size() && slots[end] == slots[end - 1] + 1 && slots[end] % blockSize != 0)
    ++end;
  return end - begin;
}

/// How many heads before its own turn a token's lines start loading: as long as memory takes.
constexpr int64_t headsAhead = 4;

/// A head of a whole block, as large as are streamed.
constexpr int64_t maxStagingBytes = 16384;
/// From how many stored bytes on: more than a core's own caches keep.
constexpr int64_t minStreamedBytes = int64_t{4} << 20;

bool streamsBlocks(const llmir_cache_layout &layout, size_t tokens, int64_t layers) {
  int64_t bytes = static_cast<int64_t>(tokens) / layout.block_size * layers * layout.num_kv_heads *
                  layout.head_stride;
  return bytes >= minStreamedBytes && layout.head_stride <= maxStagingBytes &&
         layout.head_stride % lineBytes == 0 && layout.layer_stride % lineBytes == 0 &&
         layout.block_stride % lineBytes == 0;
}

} // namespace

Status PagedKVCache::checkLayers(LayerRange layers) const {
  LLMIR_RETURN_IF_ERROR(status_);
  if (layers.first >= 0 && layers.count >= 1 && layers.first < layout_.num_layers &&
      layers.count <= layout_.num_layers - layers.first)
    return Status::ok();
  std::string range = layers.count == 1 ? "a layer" : "layers";
  std::string got = std::to_string(layers.first);
  if (layers.count != 1)
    got = std::to_string(layers.count) + " from " + got + " on";
  return invalidArgument("expected " + range + " of 0 to " +
                         std::to_string(layout_.num_layers - 1) + ", but got " + got);
}

Status PagedKVCache::findLastSlots(SequenceId id, int64_t seqLen,
                                   std::vector<int32_t> &slots) const {
  auto found = sequences_.find(id);
  if (found == sequences_.end())
    return notFound("unknown " + describe(id));
  const Sequence &sequence = found->second;
  if (seqLen > sequence.length)
    return invalidArgument("expected at most " + std::to_string(sequence.length) +
                           " tokens to write in " + describe(id) + ", but got " +
                           std::to_string(seqLen));
  int64_t blockSize = layout_.block_size;
  for (int64_t position = sequence.length - seqLen; position < sequence.length;) {
    BlockId block = sequence.blocks[static_cast<size_t>(position / blockSize)];
    if (StatusOr<int32_t> owners = pool_.useCount(block); !owners || *owners != 1)
      return failedPrecondition("cannot write position " + std::to_string(position) + " of " +
                                describe(id) + ": a fork shares its block");
    int64_t end = std::min(sequence.length, (position / blockSize + 1) * blockSize);
    for (; position < end; ++position)
      slots.push_back(static_cast<int32_t>(block.index * blockSize + position % blockSize));
  }
  return Status::ok();
}

/// Tokens of a block from `slot` on.
StoredTokens PagedKVCache::storedTokens(int64_t slot, int64_t layer, int64_t head,
                                        int64_t count) const {
  return {base() + headOffset(layout_, slot / layout_.block_size, layer, head),
          slot % layout_.block_size, count, 0};
}

/// Stores [layers of the range, slots, KV heads, head dim].
void PagedKVCache::writeTokens(const uint8_t *keys, const uint8_t *values, LayerRange layers) {
  const std::vector<int32_t> &slots = scratchTables_.slots;
  int64_t numHeads = layout_.num_kv_heads;
  int64_t keyBytes = keyCodec_.rowBytes(), valueBytes = valueCodec_.rowBytes();
  bool streams = streamsBlocks(layout_, slots.size(), layers.count);
  // Zeros, as the gaps between keys, values and scales are.
  alignas(lineBytes) uint8_t staging[maxStagingBytes];
  if (streams)
    std::memset(staging, 0, static_cast<size_t>(layout_.head_stride));
  for (int64_t layer = layers.first; layer < layers.first + layers.count; ++layer)
    for (size_t begin = 0; begin < slots.size();) {
      auto count = static_cast<int64_t>(runLength(slots, begin, layout_.block_size));
      size_t end = begin + static_cast<size_t>(count);
      StoredTokens first = storedTokens(slots[begin], layer, 0, count), next;
      if (count == 1 && end < slots.size())
        next = storedTokens(slots[end], layer, 0, 1);
      for (int64_t head = 0; head < numHeads; ++head) {
        // The lines of one token are far apart, and so are the rows of a head of several tokens:
        // neither is what processors foresee. So what comes next is on its way while this head is
        // converted: the places of one token's heads, or a share of the next tokens, half of it
        // before the keys and half before the values, since only so many lines are on their way.
        if (count == 1) {
          int64_t ahead = head + std::min(headsAhead, numHeads);
          if (ahead < numHeads)
            prefetchToken(layout_, first.head + ahead * layout_.head_stride, first.first);
          else if (next.head)
            prefetchToken(layout_, next.head + (ahead - numHeads) * layout_.head_stride,
                          next.first);
        } else if (end < slots.size()) {
          prefetchToRead(keys + (numHeads + head) * count * keyBytes, count * keyBytes);
        }
        StoredTokens target = first;
        target.head += head * layout_.head_stride;
        uint8_t *place = target.head;
        bool isStreamed = streams && count == layout_.block_size;
        if (isStreamed)
          target.head = staging;
        auto constant = static_cast<size_t>(layer * numHeads + head);
        target.constantScale = keyScales_.empty() ? 0 : keyScales_[constant];
        keyCodec_.encode(target, {keys + head * keyBytes, numHeads * keyBytes});
        if (count > 1 && end < slots.size())
          prefetchToRead(values + (numHeads + head) * count * valueBytes, count * valueBytes);
        target.constantScale = valueScales_.empty() ? 0 : valueScales_[constant];
        valueCodec_.encode(target, {values + head * valueBytes, numHeads * valueBytes});
        if (isStreamed)
          streamLines(place, staging, layout_.head_stride);
      }
      keys += count * numHeads * keyBytes;
      values += count * numHeads * valueBytes;
      begin = end;
    }
  if (streams)
    finishStreaming();
}

void PagedKVCache::copyBlocks(int32_t *blockIndices) const {
  const std::vector<int32_t> &slots = scratchTables_.slots;
  if (blockIndices)
    std::transform(slots.begin(), slots.end(), blockIndices,
                   [this](int32_t slot) { return slot / layout_.block_size; });
}

Status PagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                              int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                              LayerRange layers) {
  if (layers.first != 0)
    return writeKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices, layers);
  LLMIR_RETURN_IF_ERROR(checkConstantScales(layers));
  LLMIR_RETURN_IF_ERROR(checkArrays(keyPtr && valuePtr && seqIds, batchSize, seqLen));
  LLMIR_RETURN_IF_ERROR(reserveBatch(seqIds, batchSize, seqLen));
  writeTokens(static_cast<const uint8_t *>(keyPtr), static_cast<const uint8_t *>(valuePtr), layers);
  copyBlocks(blockIndices);
  return Status::ok();
}

Status PagedKVCache::writeKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                             int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                             LayerRange layers) {
  LLMIR_RETURN_IF_ERROR(checkConstantScales(layers));
  LLMIR_RETURN_IF_ERROR(checkArrays(keyPtr && valuePtr && seqIds, batchSize, seqLen));
  scratchTables_.slots.clear();
  for (int64_t b = 0; b < batchSize; ++b)
    LLMIR_RETURN_IF_ERROR(findLastSlots(SequenceId{seqIds[b]}, seqLen, scratchTables_.slots));
  writeTokens(static_cast<const uint8_t *>(keyPtr), static_cast<const uint8_t *>(valuePtr), layers);
  copyBlocks(blockIndices);
  return Status::ok();
}

Status PagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                              int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices) {
  return appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices,
                  LayerRange{0, layout_.num_layers});
}

Status PagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                              int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                              int64_t layer) {
  return appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices, LayerRange{layer, 1});
}

/// Checks that the blocks of all tokens are in use; rows have `tokens` entries.
Status PagedKVCache::checkLookup(const int32_t *blockIndices, std::span<const int32_t> seqLens,
                                 int64_t tokens) const {
  for (size_t b = 0; b < seqLens.size(); ++b)
    for (int64_t t = 0; t < seqLens[b]; ++t)
      if (int32_t block = blockIndices[static_cast<int64_t>(b) * tokens + t];
          !pool_.isIndexInUse(block))
        return invalidArgument("expected a block in use, but block " + std::to_string(block) +
                               " of token " + std::to_string(t) + " in row " + std::to_string(b) +
                               " is not");
  return Status::ok();
}

/// Reads one layer of a sequence whose token t lies in blocks[t].
void PagedKVCache::readSequence(std::span<const int32_t> blocks, int64_t layer, uint8_t *keys,
                                uint8_t *values) const {
  int64_t numHeads = layout_.num_kv_heads, blockSize = layout_.block_size;
  int64_t keyBytes = keyCodec_.rowBytes(), valueBytes = valueCodec_.rowBytes();
  auto length = static_cast<int64_t>(blocks.size());
  for (int64_t begin = 0; begin < length;) {
    int32_t block = blocks[static_cast<size_t>(begin)];
    int64_t end = begin + 1;
    while (end < length && end % blockSize != 0 && blocks[static_cast<size_t>(end)] == block)
      ++end;
    for (int64_t head = 0; head < numHeads; ++head) {
      StoredTokens source =
          storedTokens(block * blockSize + begin % blockSize, layer, head, end - begin);
      auto constant = static_cast<size_t>(layer * numHeads + head);
      source.constantScale = keyScales_.empty() ? 0 : keyScales_[constant];
      keyCodec_.decode(source, {keys + (begin * numHeads + head) * keyBytes, numHeads * keyBytes});
      source.constantScale = valueScales_.empty() ? 0 : valueScales_[constant];
      valueCodec_.decode(source,
                         {values + (begin * numHeads + head) * valueBytes, numHeads * valueBytes});
    }
    begin = end;
  }
}

Status PagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                              int64_t batchSize, void *outputKeys, void *outputValues,
                              LayerRange layers) const {
  LLMIR_RETURN_IF_ERROR(checkLayers(layers));
  LLMIR_RETURN_IF_ERROR(checkArrays(seqLens, batchSize, 1));
  std::span<const int32_t> lengths(seqLens, static_cast<size_t>(batchSize));
  int64_t tokens = 0;
  for (int32_t length : lengths) {
    if (length < 0 || length > layout_.max_seq_len)
      return invalidArgument("expected a length of 0 to " + std::to_string(layout_.max_seq_len) +
                             ", but got " + std::to_string(length));
    tokens = std::max<int64_t>(tokens, length);
  }
  LLMIR_RETURN_IF_ERROR(checkArrays(blockIndices && outputKeys && outputValues, batchSize, tokens));
  LLMIR_RETURN_IF_ERROR(checkLookup(blockIndices, lengths, tokens));

  int64_t keyBytes = layout_.num_kv_heads * keyCodec_.rowBytes();
  int64_t valueBytes = layout_.num_kv_heads * valueCodec_.rowBytes();
  auto *keys = static_cast<uint8_t *>(outputKeys);
  auto *values = static_cast<uint8_t *>(outputValues);
  for (int64_t layer = layers.first; layer < layers.first + layers.count; ++layer)
    for (int64_t b = 0; b < batchSize; ++b) {
      int64_t length = lengths[static_cast<size_t>(b)];
      readSequence({blockIndices + b * tokens, static_cast<size_t>(length)}, layer, keys, values);
      std::memset(keys + length * keyBytes, 0, static_cast<size_t>((tokens - length) * keyBytes));
      std::memset(values + length * valueBytes, 0,
                  static_cast<size_t>((tokens - length) * valueBytes));
      keys += tokens * keyBytes;
      values += tokens * valueBytes;
    }
  return Status::ok();
}

Status PagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                              int64_t batchSize, void *outputKeys, void *outputValues) const {
  return lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues,
                  LayerRange{0, layout_.num_layers});
}

Status PagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                              int64_t batchSize, void *outputKeys, void *outputValues,
                              int64_t layer) const {
  return lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues, LayerRange{layer, 1});
}

} // namespace llmir
