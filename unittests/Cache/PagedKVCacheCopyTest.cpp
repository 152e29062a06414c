// PagedKVCache::appendKV and lookupKV: what goes in comes out, for every type and odd sizes, with
// the blocks of several sequences interleaved and scattered; the seed's example; refusals.

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <vector>

using namespace llmir;

namespace {

struct Shape {
  int64_t layers, heads, dim, blockSize;
  ElementType type;
};

class PagedKVCacheShapes : public testing::TestWithParam<Shape> {};

std::vector<uint8_t> randomBytes(size_t count, std::mt19937 &random) {
  std::vector<uint8_t> bytes(count);
  for (uint8_t &byte : bytes)
    byte = static_cast<uint8_t>(random());
  return bytes;
}

} // namespace

TEST_P(PagedKVCacheShapes, ReturnsInterleavedSequences) {
  auto [layers, heads, dim, blockSize, type] = GetParam();
  constexpr int64_t batch = 4, maxLength = 40;
  PagedKVCache cache(layers, heads, dim, blockSize, maxLength, type);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  std::mt19937 random(7);
  auto row = static_cast<size_t>(heads * dim * elementSize(type));
  std::vector<int32_t> ids = {5, 1, 900, -2};
  // [layer][sequence] -> bytes of all its tokens
  std::vector<std::vector<std::vector<uint8_t>>> keys(layers), values(layers);
  std::vector<std::vector<int32_t>> blocks(batch);
  for (auto *side : {&keys, &values})
    for (auto &layer : *side)
      layer.resize(batch);

  // Steps of one to three tokens, a changing part of the batch each time.
  for (int step = 0; step < 12; ++step) {
    int64_t tokens = 1 + step % 3, first = step % 2, count = batch - first - step % 3 % 2;
    auto stepKeys = randomBytes(layers * count * tokens * row, random);
    auto stepValues = randomBytes(layers * count * tokens * row, random);
    std::vector<int32_t> stepBlocks(count * tokens, -1);
    Status status = cache.appendKV(stepKeys.data(), stepValues.data(), count, tokens,
                                   ids.data() + first, stepBlocks.data());
    ASSERT_TRUE(status.isOk()) << status.message();
    for (int64_t s = 0; s < count; ++s) {
      for (int64_t layer = 0; layer < layers; ++layer) {
        auto begin = static_cast<int64_t>(row) * (layer * count + s) * tokens;
        auto end = begin + static_cast<int64_t>(row) * tokens;
        auto append = [&](std::vector<uint8_t> &to, const std::vector<uint8_t> &from) {
          to.insert(to.end(), from.begin() + begin, from.begin() + end);
        };
        append(keys[layer][first + s], stepKeys);
        append(values[layer][first + s], stepValues);
      }
      blocks[first + s].insert(blocks[first + s].end(), stepBlocks.begin() + s * tokens,
                               stepBlocks.begin() + (s + 1) * tokens);
    }
  }

  std::vector<int32_t> lengths;
  size_t longest = 0;
  for (auto &of : blocks) {
    lengths.push_back(static_cast<int32_t>(of.size()));
    longest = std::max(longest, of.size());
  }
  std::vector<int32_t> table;
  for (auto &of : blocks) {
    of.resize(longest, 1 << 20); // never read: past the sequence's end
    table.insert(table.end(), of.begin(), of.end());
  }
  size_t plane = batch * longest * row;
  std::vector<uint8_t> outKeys(layers * plane, 0xee), outValues(layers * plane, 0xee);
  Status status =
      cache.lookupKV(table.data(), lengths.data(), batch, outKeys.data(), outValues.data());
  ASSERT_TRUE(status.isOk()) << status.message();
  std::vector<uint8_t> layerKeys(plane), layerValues(plane);
  for (int64_t layer = 0; layer < layers; ++layer) {
    ASSERT_TRUE(cache
                    .lookupKV(table.data(), lengths.data(), batch, layerKeys.data(),
                              layerValues.data(), layer)
                    .isOk());
    EXPECT_EQ(std::memcmp(layerKeys.data(), outKeys.data() + layer * plane, plane), 0);
    EXPECT_EQ(std::memcmp(layerValues.data(), outValues.data() + layer * plane, plane), 0);
    for (int64_t s = 0; s < batch; ++s) {
      keys[layer][s].resize(longest * row, 0);
      values[layer][s].resize(longest * row, 0);
      size_t offset = layer * plane + s * longest * row;
      EXPECT_EQ(std::memcmp(outKeys.data() + offset, keys[layer][s].data(), longest * row), 0);
      EXPECT_EQ(std::memcmp(outValues.data() + offset, values[layer][s].data(), longest * row), 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, PagedKVCacheShapes,
                         testing::Values(Shape{3, 2, 8, 4, ElementType::F32},
                                         Shape{2, 3, 64, 16, ElementType::F16},
                                         Shape{1, 1, 7, 3, ElementType::BF16},
                                         Shape{2, 5, 13, 1, ElementType::F16},
                                         Shape{4, 1, 1, 5, ElementType::F32}));

TEST(PagedKVCacheCopyTest, RunsTheSeedsExample) {
  int64_t numLayers = 2, numHeads = 2, headDim = 4, blockSize = 16, maxSeqLen = 64;
  int64_t batchSize = 2, seqLen = 3;
  ElementType elementType = ElementType::F32;
  std::vector<float> keys(numLayers * batchSize * seqLen * numHeads * headDim), values(keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    keys[i] = float(i);
    values[i] = -float(i);
  }
  std::vector<float> outKeys(keys.size()), outValues(keys.size());
  std::vector<int32_t> ids = {0, 1}, lengths = {3, 3}, indices(batchSize * seqLen);
  const float *keyPtr = keys.data(), *valuePtr = values.data();
  float *outputKeys = outKeys.data(), *outputValues = outValues.data();
  int32_t *seqIds = ids.data(), *seqLens = lengths.data(), *blockIndices = indices.data();

  PagedKVCache cache(numLayers, numHeads, headDim, blockSize, maxSeqLen, elementType);
  Status appended = cache.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices);
  ASSERT_TRUE(appended.isOk()) << appended.message();
  Status found = cache.lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues);
  ASSERT_TRUE(found.isOk()) << found.message();
  EXPECT_EQ(indices, (std::vector<int32_t>{0, 0, 0, 1, 1, 1}));
  EXPECT_EQ(outKeys, keys);
  EXPECT_EQ(outValues, values);
}

TEST(PagedKVCacheCopyTest, WritesLayerByLayer) {
  PagedKVCache cache(2, 1, 2, 2, 8, ElementType::F32);
  int32_t id = 4;
  std::vector<int32_t> indices(3), again(3);
  std::vector<float> first = {1, 2, 3, 4, 5, 6}, second = {7, 8, 9, 10, 11, 12}, out(12), out2(12);
  ASSERT_TRUE(cache.appendKV(first.data(), second.data(), 1, 3, &id, indices.data(), 0).isOk());
  ASSERT_TRUE(cache.appendKV(second.data(), first.data(), 1, 3, &id, again.data(), 1).isOk());
  EXPECT_EQ(indices, again);
  int32_t length = 3;
  ASSERT_TRUE(cache.lookupKV(indices.data(), &length, 1, out.data(), out2.data()).isOk());
  EXPECT_EQ(out, (std::vector<float>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
  EXPECT_EQ(out2, (std::vector<float>{7, 8, 9, 10, 11, 12, 1, 2, 3, 4, 5, 6}));

  EXPECT_EQ(cache.appendKV(first.data(), second.data(), 1, 3, &id, nullptr, 2).message(),
            "expected a layer of 0 to 1, but got 2");
  EXPECT_EQ(cache.appendKV(first.data(), second.data(), 1, 4, &id, nullptr, 1).code(),
            StatusCode::InvalidArgument);
  ASSERT_TRUE(cache.fork(SequenceId{4}, SequenceId{5}).isOk());
  EXPECT_EQ(cache.appendKV(first.data(), second.data(), 1, 3, &id, nullptr, 1).message(),
            "cannot write position 0 of sequence 4: a fork shares its block");
}

TEST(PagedKVCacheCopyTest, RefusesBadArrays) {
  PagedKVCache cache(1, 1, 2, 2, 4, ElementType::F32, 2);
  std::vector<float> data(16);
  std::vector<int32_t> ids = {0, 1}, blocks(8), lengths = {1};
  EXPECT_EQ(cache.appendKV(nullptr, data.data(), 1, 1, ids.data(), blocks.data()).message(),
            "expected arrays for 1 sequences of 1 tokens, but got a null pointer");
  EXPECT_EQ(cache.appendKV(data.data(), data.data(), -1, 1, ids.data(), blocks.data()).code(),
            StatusCode::InvalidArgument);
  EXPECT_EQ(cache.appendKV(data.data(), data.data(), 2, 3, ids.data(), blocks.data()).code(),
            StatusCode::ResourceExhausted);
  EXPECT_EQ(cache.lookupKV(blocks.data(), lengths.data(), 1, data.data(), data.data()).message(),
            "expected a block in use, but block 0 of token 0 in row 0 is not");
  lengths = {5};
  EXPECT_EQ(cache.lookupKV(blocks.data(), lengths.data(), 1, data.data(), data.data()).message(),
            "expected a length of 0 to 4, but got 5");
  blocks = {-1};
  lengths = {1};
  EXPECT_EQ(cache.lookupKV(blocks.data(), lengths.data(), 1, data.data(), data.data()).code(),
            StatusCode::InvalidArgument);
  EXPECT_TRUE(cache.appendKV(nullptr, nullptr, 0, 1, nullptr, nullptr).isOk());
}
