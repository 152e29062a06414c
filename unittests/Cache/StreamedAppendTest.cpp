// Appends of many tokens at once, whose whole blocks go past the caches, leave the same bytes as
// the same tokens in small appends, gaps between keys, values and scales included.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t numLayers = 2, numHeads = 8, dim = 64, blockSize = 16;

struct Storage {
  ElementType type;
  ScaleGranularity scales;
  CacheArrangement arrangement;
  int64_t tokens; ///< So many that more than 4 MiB are stored, with a last block that is not full.
};

class StreamedAppendTest : public ::testing::TestWithParam<Storage> {
protected:
  PagedKVCache makeCache() const {
    const Storage &storage = GetParam();
    CacheParameters parameters;
    parameters.keyType = parameters.valueType = storage.type;
    parameters.numLayers = numLayers;
    parameters.numKVHeads = numHeads;
    parameters.keyHeadDim = parameters.valueHeadDim = dim;
    parameters.blockSize = blockSize;
    parameters.maxSeqLen = 8192;
    parameters.arrangement = storage.arrangement;
    parameters.keyScales = parameters.valueScales = storage.scales;
    parameters.scaleType = ElementType::F16;
    return PagedKVCache(parameters, ElementType::F32, 512);
  }

  /// The part [layers, 1, tokens from `first` on, heads, dim] of [layers, 1, all tokens, …].
  static std::vector<float> slice(const std::vector<float> &all, int64_t total, int64_t first,
                                  int64_t count) {
    constexpr int64_t token = numHeads * dim;
    std::vector<float> part;
    for (int64_t layer = 0; layer < numLayers; ++layer) {
      auto begin = all.begin() + (layer * total + first) * token;
      part.insert(part.end(), begin, begin + count * token);
    }
    return part;
  }
};

} // namespace

TEST_P(StreamedAppendTest, LeavesTheBytesOfSmallAppends) {
  const int64_t tokens = GetParam().tokens;
  PagedKVCache large = makeCache(), small = makeCache();
  ASSERT_TRUE(large.status().isOk()) << large.status().message();
  ASSERT_GT(tokens / blockSize * large.layout().block_stride, int64_t{4} << 20);
  ASSERT_NE(tokens % blockSize, 0);
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<float> keys(static_cast<size_t>(numLayers * tokens * numHeads * dim)), values(keys);
  for (auto *array : {&keys, &values})
    std::generate(array->begin(), array->end(), [&] { return normal(random); });
  int32_t id = 1;
  ASSERT_TRUE(large.appendKV(keys.data(), values.data(), 1, tokens, &id, nullptr).isOk());
  // 7 tokens, then 37 at a time: blocks are written in parts.
  for (int64_t first = 0; first < tokens;) {
    int64_t count = std::min<int64_t>(first == 0 ? 7 : 37, tokens - first);
    std::vector<float> someKeys = slice(keys, tokens, first, count);
    std::vector<float> someValues = slice(values, tokens, first, count);
    ASSERT_TRUE(small.appendKV(someKeys.data(), someValues.data(), 1, count, &id, nullptr).isOk());
    first += count;
  }
  std::span<const BlockId> ours = *large.blocks(SequenceId{1}),
                           theirs = *small.blocks(SequenceId{1});
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    std::span<uint8_t> a = *large.blockBytes(ours[i]), b = *small.blockBytes(theirs[i]);
    ASSERT_EQ(std::memcmp(a.data(), b.data(), a.size()), 0) << "block " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Storages, StreamedAppendTest,
    ::testing::Values(
        Storage{ElementType::F16, ScaleGranularity::None, CacheArrangement::ChannelMajorKeys, 1050},
        Storage{ElementType::F32, ScaleGranularity::None, CacheArrangement::TokenMajorKeys, 550},
        Storage{ElementType::BF16, ScaleGranularity::None, CacheArrangement::Pairs, 1050},
        Storage{ElementType::I8, ScaleGranularity::Token, CacheArrangement::ChannelMajorKeys, 2050},
        Storage{ElementType::I4, ScaleGranularity::Token, CacheArrangement::ChannelMajorKeys, 4099},
        Storage{ElementType::F8E4M3FN, ScaleGranularity::None, CacheArrangement::ChannelMajorKeys,
                2070}));
