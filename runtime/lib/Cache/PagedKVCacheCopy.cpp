// PagedKVCache::appendKV and lookupKV: keys and values between plain arrays and blocks, for callers
// without compiled code. Elements are moved, never converted.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

namespace llmir {

namespace {

template <typename T>
void copyStrided(uint8_t *target, int64_t targetStride, const uint8_t *source, int64_t sourceStride,
                 int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    std::memcpy(target + i * targetStride, source + i * sourceStride, sizeof(T));
}

/// Moves `count` elements of 2 or 4 bytes.
void copyElements(uint8_t *target, int64_t targetStride, const uint8_t *source,
                  int64_t sourceStride, int64_t count, int64_t elementSize) {
  if (elementSize == 2)
    copyStrided<uint16_t>(target, targetStride, source, sourceStride, count);
  else
    copyStrided<uint32_t>(target, targetStride, source, sourceStride, count);
}

int64_t keySize(const llmir_cache_layout &layout) { return llmir_element_size(layout.key_type); }
int64_t valueSize(const llmir_cache_layout &layout) {
  return llmir_element_size(layout.value_type);
}

/// Bytes of one token's keys or values in a plain array: [KV heads, head dim].
int64_t keyRow(const llmir_cache_layout &layout) {
  return int64_t(layout.num_kv_heads) * layout.key_head_dim * keySize(layout);
}
int64_t valueRow(const llmir_cache_layout &layout) {
  return int64_t(layout.num_kv_heads) * layout.value_head_dim * valueSize(layout);
}

Status checkArrays(bool present, int64_t batchSize, int64_t seqLen) {
  if (batchSize < 0 || seqLen < 0)
    return invalidArgument("expected a batch and a number of tokens of 0 or more, but got " +
                           std::to_string(batchSize) + " and " + std::to_string(seqLen));
  if (!present && batchSize * seqLen > 0)
    return invalidArgument("expected arrays for " + std::to_string(batchSize) + " sequences of " +
                           std::to_string(seqLen) + " tokens, but got a null pointer");
  return Status::ok();
}

/// One token's keys and values between a block and plain arrays.
class TokenCopier {
public:
  TokenCopier(const llmir_cache_layout &layout, uint8_t *base) : layout_(layout), base_(base) {}

  void write(const uint8_t *keys, const uint8_t *values, int64_t slot, int64_t layer) const {
    int64_t ks = keySize(layout_), vs = valueSize(layout_);
    for (int64_t head = 0; head < layout_.num_kv_heads; ++head) {
      copyElements(keyAddress(slot, layer, head), layout_.key_channel_stride,
                   keys + head * layout_.key_head_dim * ks, ks, layout_.key_head_dim, ks);
      copyElements(valueAddress(slot, layer, head), layout_.value_channel_stride,
                   values + head * layout_.value_head_dim * vs, vs, layout_.value_head_dim, vs);
    }
  }

  void read(uint8_t *keys, uint8_t *values, int64_t slot, int64_t layer) const {
    int64_t ks = keySize(layout_), vs = valueSize(layout_);
    for (int64_t head = 0; head < layout_.num_kv_heads; ++head) {
      copyElements(keys + head * layout_.key_head_dim * ks, ks, keyAddress(slot, layer, head),
                   layout_.key_channel_stride, layout_.key_head_dim, ks);
      copyElements(values + head * layout_.value_head_dim * vs, vs, valueAddress(slot, layer, head),
                   layout_.value_channel_stride, layout_.value_head_dim, vs);
    }
  }

private:
  uint8_t *keyAddress(int64_t slot, int64_t layer, int64_t head) const {
    return base_ +
           keyOffset(layout_, slot / layout_.block_size, layer, head, slot % layout_.block_size);
  }
  uint8_t *valueAddress(int64_t slot, int64_t layer, int64_t head) const {
    return base_ +
           valueOffset(layout_, slot / layout_.block_size, layer, head, slot % layout_.block_size);
  }

  const llmir_cache_layout &layout_;
  uint8_t *base_;
};

/// Writes [layers, slots, KV heads, head dim] and reports the slots' blocks.
void writeTokens(const PagedKVCache &cache, const void *keyPtr, const void *valuePtr,
                 std::span<const int32_t> slots, int64_t firstLayer, int64_t numLayers,
                 int32_t *blockIndices) {
  const llmir_cache_layout &layout = cache.layout();
  TokenCopier copier(layout, cache.base());
  auto *keys = static_cast<const uint8_t *>(keyPtr);
  auto *values = static_cast<const uint8_t *>(valuePtr);
  for (int64_t layer = firstLayer; layer < firstLayer + numLayers; ++layer)
    for (int32_t slot : slots) {
      copier.write(keys, values, slot, layer);
      keys += keyRow(layout);
      values += valueRow(layout);
    }
  if (blockIndices)
    std::transform(slots.begin(), slots.end(), blockIndices,
                   [&layout](int32_t slot) { return slot / layout.block_size; });
}

std::vector<AppendRequest> makeRequests(const int32_t *seqIds, int64_t batchSize, int64_t seqLen) {
  std::vector<AppendRequest> requests;
  for (int64_t b = 0; b < batchSize; ++b)
    requests.push_back({SequenceId{seqIds[b]}, seqLen});
  return requests;
}

} // namespace

Status PagedKVCache::checkLayer(int64_t layer) const {
  LLMIR_RETURN_IF_ERROR(status_);
  if (layer >= 0 && layer < layout_.num_layers)
    return Status::ok();
  return invalidArgument("expected a layer of 0 to " + std::to_string(layout_.num_layers - 1) +
                         ", but got " + std::to_string(layer));
}

Status PagedKVCache::findLastSlots(SequenceId id, int64_t seqLen,
                                   std::vector<int32_t> &slots) const {
  StatusOr<int64_t> length = this->length(id);
  if (!length)
    return length.status();
  const std::vector<BlockId> &table = sequences_.at(id).blocks;
  for (int64_t position = *length - seqLen; position < *length; ++position) {
    StatusOr<int32_t> found = slot(id, position);
    if (!found)
      return found.status();
    StatusOr<int32_t> owners =
        pool_.useCount(table[static_cast<size_t>(position / layout_.block_size)]);
    if (!owners || *owners != 1)
      return failedPrecondition("cannot write position " + std::to_string(position) +
                                " of sequence " + std::to_string(static_cast<int32_t>(id)) +
                                ": a fork shares its block");
    slots.push_back(*found);
  }
  return Status::ok();
}

Status PagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                              int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(checkArrays(keyPtr && valuePtr && seqIds, batchSize, seqLen));
  CacheStepTables tables;
  LLMIR_RETURN_IF_ERROR(reserve(makeRequests(seqIds, batchSize, seqLen), tables));
  writeTokens(*this, keyPtr, valuePtr, tables.slots, 0, layout_.num_layers, blockIndices);
  return Status::ok();
}

Status PagedKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                              int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                              int64_t layer) {
  LLMIR_RETURN_IF_ERROR(checkLayer(layer));
  LLMIR_RETURN_IF_ERROR(checkArrays(keyPtr && valuePtr && seqIds, batchSize, seqLen));
  std::vector<int32_t> slots;
  if (layer == 0) {
    CacheStepTables tables;
    LLMIR_RETURN_IF_ERROR(reserve(makeRequests(seqIds, batchSize, seqLen), tables));
    slots = std::move(tables.slots);
  } else {
    for (int64_t b = 0; b < batchSize; ++b)
      LLMIR_RETURN_IF_ERROR(findLastSlots(SequenceId{seqIds[b]}, seqLen, slots));
  }
  writeTokens(*this, keyPtr, valuePtr, slots, layer, 1, blockIndices);
  return Status::ok();
}

Status PagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                              int64_t batchSize, void *outputKeys, void *outputValues) const {
  LLMIR_RETURN_IF_ERROR(status_);
  return lookupLayers(blockIndices, seqLens, batchSize, outputKeys, outputValues, 0,
                      layout_.num_layers);
}

Status PagedKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                              int64_t batchSize, void *outputKeys, void *outputValues,
                              int64_t layer) const {
  LLMIR_RETURN_IF_ERROR(checkLayer(layer));
  return lookupLayers(blockIndices, seqLens, batchSize, outputKeys, outputValues, layer, 1);
}

Status PagedKVCache::lookupLayers(const int32_t *blockIndices, const int32_t *seqLens,
                                  int64_t batchSize, void *outputKeys, void *outputValues,
                                  int64_t firstLayer, int64_t numLayers) const {
  LLMIR_RETURN_IF_ERROR(checkArrays(seqLens, batchSize, 1));
  int64_t tokens = 0;
  for (int64_t b = 0; b < batchSize; ++b) {
    if (seqLens[b] < 0 || seqLens[b] > layout_.max_seq_len)
      return invalidArgument("expected a length of 0 to " + std::to_string(layout_.max_seq_len) +
                             ", but got " + std::to_string(seqLens[b]));
    tokens = std::max<int64_t>(tokens, seqLens[b]);
  }
  LLMIR_RETURN_IF_ERROR(checkArrays(blockIndices && outputKeys && outputValues, batchSize, tokens));
  for (int64_t b = 0; b < batchSize; ++b)
    for (int64_t t = 0; t < seqLens[b]; ++t)
      if (int32_t block = blockIndices[b * tokens + t]; !pool_.isIndexInUse(block))
        return invalidArgument("expected a block in use, but block " + std::to_string(block) +
                               " of token " + std::to_string(t) + " in row " + std::to_string(b) +
                               " is not");

  TokenCopier copier(layout_, base());
  int64_t keyBytes = keyRow(layout_), valueBytes = valueRow(layout_);
  auto *keys = static_cast<uint8_t *>(outputKeys);
  auto *values = static_cast<uint8_t *>(outputValues);
  for (int64_t layer = firstLayer; layer < firstLayer + numLayers; ++layer)
    for (int64_t b = 0; b < batchSize; ++b)
      for (int64_t t = 0; t < tokens; ++t, keys += keyBytes, values += valueBytes) {
        if (t < seqLens[b]) {
          int64_t block = blockIndices[b * tokens + t];
          copier.read(keys, values, block * layout_.block_size + t % layout_.block_size, layer);
        } else {
          std::memset(keys, 0, static_cast<size_t>(keyBytes));
          std::memset(values, 0, static_cast<size_t>(valueBytes));
        }
      }
  return Status::ok();
}

} // namespace llmir
