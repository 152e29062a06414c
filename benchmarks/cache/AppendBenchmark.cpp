// What storing keys and values costs: whole blocks against a memcpy of as many bytes as are read,
// one token against touching the lines that it is stored in. With an argument: only those whose
// name has it in it, as "append one token, f16 to i4".

#include "Measure.h"

#include "llmir/Cache/PagedKVCache.h"

#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

constexpr int64_t numLayers = 2, numHeads = 8, dim = 64, blockSize = 16;
constexpr int64_t poolBytes = 64 << 20;
constexpr int64_t numTokens = 16384; // 32 MB each of keys and values in f16: more than caches hold

struct Storage {
  const char *name;
  ElementType array;
  ElementType type;
  ScaleGranularity scales;
  CacheArrangement arrangement;
};

CacheParameters parametersOf(const Storage &storage, int64_t maxSeqLen) {
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = storage.type;
  parameters.numLayers = numLayers;
  parameters.numKVHeads = numHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = dim;
  parameters.blockSize = blockSize;
  parameters.maxSeqLen = maxSeqLen;
  parameters.arrangement = storage.arrangement;
  parameters.keyScales = parameters.valueScales = storage.scales;
  parameters.scaleType = ElementType::F16;
  if (storage.scales == ScaleGranularity::Group)
    parameters.keyScaleGroup = parameters.valueScaleGroup = 16;
  return parameters;
}

void require(const Status &status) {
  if (status.isOk())
    return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

/// An array of numbers of either 16-bit type or f32, in pages that are there.
std::vector<uint8_t> makeArray(size_t elements, ElementType type) {
  std::vector<uint8_t> array(elements * static_cast<size_t>(elementSize(type)));
  std::mt19937 random(1);
  // The high byte of every element stays that of a number of ordinary size.
  for (size_t i = 0; i < array.size(); ++i)
    array[i] = static_cast<uint8_t>(i % 2 == 0 ? random() : 0x38 + random() % 8);
  return array;
}

void setConstants(PagedKVCache &cache) {
  if (!cache.hasConstantScales())
    return;
  std::vector<float> scales(numLayers * numHeads, 0.02f);
  require(cache.setConstantScales(scales, scales));
}

void appendBlocks(const Storage &storage, const std::string &what, double limit) {
  PagedKVCache cache(parametersOf(storage, numTokens), storage.array, numTokens / blockSize);
  require(cache.status());
  setConstants(cache);
  auto elements = static_cast<size_t>(numLayers * numTokens * numHeads * dim);
  std::vector<uint8_t> keys = makeArray(elements, storage.array), values(keys);
  std::vector<uint8_t> copy(2 * keys.size());
  int32_t id = 1;
  Pair seconds = measurePair(
      [&] {
        require(cache.appendKV(keys.data(), values.data(), 1, numTokens, &id, nullptr));
        require(cache.freeSequence(SequenceId{id}));
      },
      [&] {
        std::memcpy(copy.data(), keys.data(), keys.size());
        std::memcpy(copy.data() + keys.size(), values.data(), values.size());
        keep(copy[0]);
      },
      15);
  printAtLeast(what.c_str(), seconds.peer / seconds.ours, "of memcpy's bytes read", limit);
}

/// Writes into every line that holds a part of a token.
void touchToken(const llmir_cache_layout &layout, uint8_t *base, int64_t slot) {
  int64_t block = slot / layout.block_size, token = slot % layout.block_size;
  auto touch = [](uint8_t *start, int64_t stride, int64_t count, int64_t size) {
    uintptr_t last = 0;
    for (int64_t i = 0; i < count; ++i) {
      auto *address = start + i * stride;
      uintptr_t line = reinterpret_cast<uintptr_t>(address) / 64;
      if (line != last)
        *reinterpret_cast<volatile uint8_t *>(address) = static_cast<uint8_t>(i * size);
      last = line;
    }
  };
  bool isI4 = layout.key_type == LLMIR_I4;
  int64_t size = isI4 ? 1 : llmir_element_size(layout.key_type);
  for (int64_t layer = 0; layer < layout.num_layers; ++layer)
    for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
      uint8_t *start = base + headOffset(layout, block, layer, head);
      touch(start + token * layout.key_token_stride, layout.key_channel_stride,
            isI4 ? dim / 2 : dim, size);
      touch(start + layout.value_offset + token * layout.value_token_stride, size,
            isI4 ? dim / 2 : dim, size);
      if (layout.key_scale_offset > 0) {
        int64_t groups = layout.key_scale_group > 0 ? dim / layout.key_scale_group : 1;
        touch(start + layout.key_scale_offset + token * 2, layout.key_scale_stride, groups, 2);
        touch(start + layout.value_scale_offset + token * 2, layout.value_scale_stride, groups, 2);
      }
    }
}

/// One token for each of 64 of many sequences, in turn; the touching is done to 64 others. The pool
/// has at least 64 MB, so that lines come from memory.
void appendToken(const Storage &storage, const std::string &what) {
  constexpr int32_t batch = 64;
  StatusOr<llmir_cache_layout> layout = makeCacheLayout(parametersOf(storage, blockSize));
  require(layout.status());
  int32_t numSequences = 1024;
  while (numSequences * layout->block_stride < poolBytes)
    numSequences *= 2;
  PagedKVCache cache(parametersOf(storage, blockSize), storage.array, numSequences);
  require(cache.status());
  setConstants(cache);
  cache.shuffleFreeBlocks(1);
  auto elements = static_cast<size_t>(numLayers * batch * numHeads * dim);
  std::vector<uint8_t> keys = makeArray(elements, storage.array), values(keys);
  std::vector<int32_t> ids(batch), slots(batch);
  auto select = [&](int32_t first) {
    for (int32_t i = 0; i < batch; ++i)
      ids[static_cast<size_t>(i)] = first % numSequences + i;
  };
  for (int32_t first = 0; first < numSequences; first += batch) {
    select(first);
    for (int64_t t = 0; t < 8; ++t)
      require(cache.appendKV(keys.data(), values.data(), batch, 1, ids.data(), nullptr));
  }
  std::vector<double> ours, peer;
  for (int32_t round = 0; round < 200; ++round) {
    select(round * batch + numSequences / 2);
    for (size_t i = 0; i < batch; ++i)
      slots[i] = *cache.slot(SequenceId{ids[i]}, 7) + 1;
    double touched = secondsOf([&] {
      for (int32_t slot : slots)
        touchToken(cache.layout(), cache.base(), slot);
    });
    select(round * batch);
    double appended = secondsOf([&] {
      require(cache.appendKV(keys.data(), values.data(), batch, 1, ids.data(), nullptr));
    });
    for (int32_t id : ids)
      require(cache.truncate(SequenceId{id}, 8));
    if (round >= 32) {
      peer.push_back(touched);
      ours.push_back(appended);
    }
  }
  printAtMost(what.c_str(), median(ours) / median(peer), "of touching its lines", 2);
  printFigure("  a token and head take", 1e9 * median(ours) / (batch * numLayers * numHeads), "ns");
}

} // namespace

int main(int argc, char **argv) {
  const std::string wanted = argc > 1 ? argv[1] : "";
  using Type = ElementType;
  using Scales = ScaleGranularity;
  using Keys = CacheArrangement;
  const Storage plain[] = {
      {"f16", Type::F16, Type::F16, Scales::None, Keys::ChannelMajorKeys},
      {"f32", Type::F32, Type::F32, Scales::None, Keys::ChannelMajorKeys},
      {"f16, token-major keys", Type::F16, Type::F16, Scales::None, Keys::TokenMajorKeys},
      {"bf16 in pairs", Type::BF16, Type::BF16, Scales::None, Keys::Pairs}};
  const Storage quantised[] = {
      {"f16 to i8, token", Type::F16, Type::I8, Scales::Token, Keys::ChannelMajorKeys},
      {"f16 to i8, head", Type::F16, Type::I8, Scales::Head, Keys::ChannelMajorKeys},
      {"f16 to i4, token", Type::F16, Type::I4, Scales::Token, Keys::ChannelMajorKeys},
      {"f16 to i4, groups of 16", Type::F16, Type::I4, Scales::Group, Keys::ChannelMajorKeys},
      {"f16 to f8E4M3FN", Type::F16, Type::F8E4M3FN, Scales::None, Keys::ChannelMajorKeys},
      {"f16 to f8E5M2, token", Type::F16, Type::F8E5M2, Scales::Token, Keys::ChannelMajorKeys},
      {"bf16 to i8, token", Type::BF16, Type::I8, Scales::Token, Keys::ChannelMajorKeys},
      {"f32 to i8, token", Type::F32, Type::I8, Scales::Token, Keys::ChannelMajorKeys},
      {"f32 to f16", Type::F32, Type::F16, Scales::None, Keys::ChannelMajorKeys}};
  auto blocks = [&](const Storage &storage, double limit) {
    if (std::string what = std::string("append whole blocks, ") + storage.name;
        what.find(wanted) != std::string::npos)
      appendBlocks(storage, what, limit);
  };
  auto token = [&](const Storage &storage) {
    if (std::string what = std::string("append one token, ") + storage.name;
        what.find(wanted) != std::string::npos)
      appendToken(storage, what);
  };
  for (const Storage &storage : plain)
    blocks(storage, 0.6);
  for (const Storage &storage : quantised)
    blocks(storage, 0.4);
  for (const Storage &storage : plain)
    token(storage);
  for (const Storage &storage : quantised)
    token(storage);
}
