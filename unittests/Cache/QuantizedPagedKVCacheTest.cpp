// QuantizedPagedKVCache: the seed's example and its ratios, keys and values apart, layers apart,
// calibration by the first tokens or by constants, all caches in step, everything or nothing.

#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t numLayers = 3, numHeads = 2, headDim = 32, blockSize = 4, maxSeqLen = 64;
constexpr size_t layerNumbers = numHeads * headDim;

QuantizedPagedKVCache makeCache(const QuantizationConfig &config, int64_t numBlocks = 32) {
  return QuantizedPagedKVCache(numLayers, numHeads, headDim, blockSize, maxSeqLen, config,
                               ElementType::F32, numBlocks);
}

std::vector<float> randomNumbers(size_t count, float largest, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<float> numbers(count);
  for (float &number : numbers)
    number = largest * float(int(random() % 2001) - 1000) / 1000;
  return numbers;
}

/// Keys and values of one sequence as they come back.
struct Found {
  std::vector<float> keys, values;
};

/// Appends `tokens` tokens of a new sequence and reads them.
Found roundTrip(QuantizedPagedKVCache &cache, const std::vector<float> &keys,
                const std::vector<float> &values, int32_t id) {
  auto tokens = static_cast<int32_t>(keys.size() / (numLayers * layerNumbers));
  std::vector<int32_t> blocks(static_cast<size_t>(tokens));
  Found found{std::vector<float>(keys.size()), std::vector<float>(keys.size())};
  Status status = cache.appendKV(keys.data(), values.data(), 1, tokens, &id, blocks.data());
  EXPECT_TRUE(status.isOk()) << status.message();
  status = cache.lookupKV(blocks.data(), &tokens, 1, found.keys.data(), found.values.data());
  EXPECT_TRUE(status.isOk()) << status.message();
  return found;
}

float largestError(const std::vector<float> &a, const std::vector<float> &b) {
  float largest = 0;
  for (size_t i = 0; i < a.size(); ++i)
    largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

float ratioOf(QuantizationType type, QuantizationStrategy strategy, int64_t group = 32) {
  QuantizedPagedKVCache cache(2, 4, 64, 16, 256, {type, strategy, group}, ElementType::F32, 64);
  EXPECT_TRUE(cache.status().isOk()) << cache.status().message();
  return cache.getCompressionRatio();
}

} // namespace

TEST(QuantizedPagedKVCacheTest, CountsTheBytesThatItHolds) {
  using Type = QuantizationType;
  using Strategy = QuantizationStrategy;
  EXPECT_EQ(ratioOf(Type::NONE, Strategy::UNSCALED), 1.0f);
  EXPECT_EQ(ratioOf(Type::FP8_E4M3, Strategy::UNSCALED), 4.0f);
  // 64 constants of 4 bytes beside 64 blocks.
  EXPECT_NEAR(ratioOf(Type::INT8, Strategy::PER_TENSOR), 4.0, 1e-3);
  EXPECT_NEAR(ratioOf(Type::INT4, Strategy::PER_HEAD), 8.0, 1e-3);
  // A head: 2 x 16 x 64 codes; scales of 2 bytes, one a token, or two a token in groups of 32.
  EXPECT_FLOAT_EQ(ratioOf(Type::INT8, Strategy::PER_TOKEN), 8192.0f / (2048 + 64));
  EXPECT_FLOAT_EQ(ratioOf(Type::INT4, Strategy::PER_GROUP), 8192.0f / (1024 + 128));
}

TEST(QuantizedPagedKVCacheTest, StoresWithinHalfAStep) {
  std::vector<float> keys = randomNumbers(numLayers * 5 * layerNumbers, 4.0f, 1);
  std::vector<float> values = randomNumbers(keys.size(), 0.5f, 2);
  auto errors = [&](QuantizationType type, QuantizationStrategy strategy) {
    QuantizedPagedKVCache cache = makeCache({type, strategy, 8});
    Found found = roundTrip(cache, keys, values, 1);
    return std::pair(largestError(found.keys, keys), largestError(found.values, values));
  };
  for (QuantizationStrategy strategy :
       {QuantizationStrategy::PER_TENSOR, QuantizationStrategy::PER_HEAD,
        QuantizationStrategy::PER_TOKEN, QuantizationStrategy::PER_GROUP}) {
    auto [keyError, valueError] = errors(QuantizationType::INT8, strategy);
    EXPECT_LE(keyError, 4.0f / 127 / 2 * 1.02f);
    EXPECT_LE(valueError, 0.5f / 127 / 2 * 1.02f);
    std::tie(keyError, valueError) = errors(QuantizationType::INT4, strategy);
    EXPECT_LE(keyError, 4.0f / 7 / 2 * 1.02f);
    EXPECT_LE(valueError, 0.5f / 7 / 2 * 1.02f);
    EXPECT_GT(valueError, 0.0f);
  }
  // Three bits of mantissa: half a step is 1/16 of the number.
  EXPECT_LE(errors(QuantizationType::FP8_E4M3, QuantizationStrategy::UNSCALED).first, 4.0f / 16);
}

TEST(QuantizedPagedKVCacheTest, KeepsKeysValuesAndLayersApart) {
  QuantizationConfig config;
  config.keys = {QuantizationType::INT8, QuantizationStrategy::PER_TOKEN, 0};
  config.values = {QuantizationType::NONE, QuantizationStrategy::UNSCALED, 0};
  config.exceptions[1] = {{QuantizationType::NONE, QuantizationStrategy::UNSCALED, 0},
                          {QuantizationType::INT4, QuantizationStrategy::PER_GROUP, 16}};
  QuantizedPagedKVCache cache = makeCache(config);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  ASSERT_EQ(cache.caches().size(), 2u);
  EXPECT_EQ(cache.caches()[0].layout().num_layers, 2);
  EXPECT_EQ(cache.place(2)->cache, 0u);
  EXPECT_EQ(cache.place(2)->layer, 1);
  EXPECT_EQ(cache.place(3).status().code(), StatusCode::InvalidArgument);

  std::vector<float> keys = randomNumbers(numLayers * 6 * layerNumbers, 1.0f, 3);
  std::vector<float> values = randomNumbers(keys.size(), 1.0f, 4);
  Found found = roundTrip(cache, keys, values, 1);
  size_t size = 6 * layerNumbers;
  for (size_t layer = 0; layer < numLayers; ++layer)
    for (size_t i = layer * size; i < (layer + 1) * size; ++i) {
      bool isException = layer == 1;
      ASSERT_NEAR(found.keys[i], keys[i], isException ? 0 : 0.5 / 127 * 1.01);
      ASSERT_NEAR(found.values[i], values[i], isException ? 0.5 / 7 * 1.01 : 0);
    }
}

TEST(QuantizedPagedKVCacheTest, TheFirstTokensFixTheConstants) {
  QuantizedPagedKVCache cache = makeCache({QuantizationType::INT8, QuantizationStrategy::PER_HEAD});
  std::vector<float> small = randomNumbers(numLayers * 4 * layerNumbers, 1.0f, 5);
  small[0] = 1.27f; // layer 0, head 0
  Found first = roundTrip(cache, small, small, 1);
  std::vector<float> scales(cache.caches()[0].constantKeyScales().begin(),
                            cache.caches()[0].constantKeyScales().end());
  EXPECT_FLOAT_EQ(scales[0], 0.01f);
  EXPECT_LE(scales[1], 1.0f / 127);
  // Larger numbers that come later saturate, and nothing else changes.
  std::vector<float> large(small.size(), 50.0f);
  Found second = roundTrip(cache, large, large, 2);
  EXPECT_FLOAT_EQ(second.keys[0], 1.27f);
  EXPECT_TRUE(std::ranges::equal(scales, cache.caches()[0].constantKeyScales()));
  std::vector<int32_t> blocks = {0};
  int32_t length = 4;
  for (int64_t t = 0; t < 4; ++t)
    blocks.resize(4, 0);
  Found again{std::vector<float>(small.size()), std::vector<float>(small.size())};
  ASSERT_TRUE(
      cache.lookupKV(blocks.data(), &length, 1, again.keys.data(), again.values.data()).isOk());
  EXPECT_EQ(again.keys, first.keys);
}

TEST(QuantizedPagedKVCacheTest, CalibratesLayerByLayer) {
  for (QuantizationStrategy strategy :
       {QuantizationStrategy::PER_HEAD, QuantizationStrategy::PER_TENSOR}) {
    QuantizedPagedKVCache cache = makeCache({QuantizationType::INT8, strategy});
    int32_t id = 1;
    std::vector<int32_t> blocks(2), again(2);
    for (int64_t layer = 0; layer < numLayers; ++layer) {
      std::vector<float> row(2 * layerNumbers, float(layer + 1));
      auto &to = layer == 0 ? blocks : again;
      Status status =
          cache.appendKV(row.data(), row.data(), 1, 2, &id, to.data(), LayerRange{layer, 1});
      ASSERT_TRUE(status.isOk()) << status.message();
    }
    EXPECT_EQ(blocks, again);
    bool isShared = strategy == QuantizationStrategy::PER_TENSOR;
    std::span<const float> scales = cache.caches()[0].constantValueScales();
    EXPECT_FLOAT_EQ(scales[0], 1.0f / 127);
    EXPECT_FLOAT_EQ(scales[2 * numHeads], isShared ? 1.0f / 127 : 3.0f / 127);
  }
}

TEST(QuantizedPagedKVCacheTest, TakesCalibratedConstants) {
  QuantizationConfig config(QuantizationType::INT4, QuantizationStrategy::PER_HEAD);
  config.exceptions[0] = {};
  config.keyScales.assign(numLayers * numHeads, 0.5f);
  config.valueScales.assign(numLayers * numHeads, 0.25f);
  config.keyScales[5] = 1.0f;
  QuantizedPagedKVCache cache = makeCache(config);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  std::vector<float> rows(numLayers * layerNumbers, 1.6f);
  Found found = roundTrip(cache, rows, rows, 1);
  EXPECT_EQ(found.keys.front(), 1.6f); // layer 0 is as it comes
  EXPECT_EQ(found.keys[layerNumbers], 1.5f);
  EXPECT_EQ(found.keys.back(), 2.0f);
  EXPECT_EQ(found.values.back(), 1.5f);

  config.valueScales.pop_back();
  EXPECT_EQ(makeCache(config).status().message(),
            "quantized paged KV cache: expected constant scales of 3 layers x 2 heads, but got 5");
}

TEST(QuantizedPagedKVCacheTest, IsAllOrNothing) {
  QuantizationConfig config(QuantizationType::INT8, QuantizationStrategy::PER_TENSOR);
  config.exceptions[1] = {};
  QuantizedPagedKVCache cache = makeCache(config, 2);
  std::vector<float> rows(numLayers * 12 * layerNumbers, 3.0f);
  int32_t id = 1;
  EXPECT_EQ(cache.appendKV(rows.data(), rows.data(), 1, 12, &id, nullptr).message(),
            "block pool exhausted: need 3 blocks, 2 free of 2");
  EXPECT_FALSE(cache.contains(SequenceId{1}));
  EXPECT_TRUE(std::isnan(cache.caches()[0].constantKeyScales()[0]));
  rows[7] = std::numeric_limits<float>::infinity();
  EXPECT_EQ(cache.appendKV(rows.data(), rows.data(), 1, 1, &id, nullptr).message(),
            "cannot calibrate from numbers as large as inf");
  EXPECT_FALSE(cache.contains(SequenceId{1}));
  rows[7] = 0;
  EXPECT_TRUE(cache.appendKV(rows.data(), rows.data(), 1, 8, &id, nullptr).isOk());
  EXPECT_EQ(*cache.length(SequenceId{1}), 8);
}

TEST(QuantizedPagedKVCacheTest, DoesEverythingToAllCaches) {
  QuantizationConfig config(QuantizationType::INT8, QuantizationStrategy::PER_TOKEN);
  config.exceptions[2] = {};
  QuantizedPagedKVCache cache = makeCache(config);
  std::vector<float> rows(numLayers * 6 * layerNumbers, 1.0f);
  int32_t one = 1, two = 2;
  ASSERT_TRUE(cache.appendKV(rows.data(), rows.data(), 1, 6, &one, nullptr).isOk());
  ASSERT_TRUE(cache.fork(SequenceId{1}, SequenceId{2}).isOk());
  ASSERT_TRUE(cache.appendKV(rows.data(), rows.data(), 1, 1, &two, nullptr).isOk());
  ASSERT_TRUE(cache.truncate(SequenceId{1}, 3).isOk());
  for (const PagedKVCache &each : cache.caches()) {
    EXPECT_EQ(*each.length(SequenceId{1}), 3);
    EXPECT_EQ(*each.length(SequenceId{2}), 7);
    EXPECT_EQ(*each.slot(SequenceId{2}, 6), *cache.caches()[0].slot(SequenceId{2}, 6));
  }
  EXPECT_EQ(cache.truncate(SequenceId{9}, 0).message(), "unknown sequence 9");
  ASSERT_TRUE(cache.freeSequence(SequenceId{1}).isOk());
  EXPECT_FALSE(cache.contains(SequenceId{1}));
  ASSERT_TRUE(cache.caches()[1].freeSequence(SequenceId{2}).isOk());
  EXPECT_EQ(cache.freeSequence(SequenceId{2}).message(),
            "the caches of a quantized cache disagree: unknown sequence 2");
  EXPECT_FALSE(cache.status().isOk());
}

TEST(QuantizedPagedKVCacheTest, RefusesWhatCannotBe) {
  auto messageOf = [](const QuantizationConfig &config, ElementType type = ElementType::F16) {
    return QuantizedPagedKVCache(numLayers, numHeads, headDim, blockSize, maxSeqLen, config, type)
        .status()
        .message();
  };
  QuantizationConfig config(QuantizationType::INT8, QuantizationStrategy::UNSCALED);
  EXPECT_NE(messageOf(config).find("integer codes have no meaning without scales"),
            std::string::npos);
  config = {QuantizationType::INT4, QuantizationStrategy::PER_GROUP, 32};
  EXPECT_NE(messageOf(config).find("to divide half of 'key_head_dim' 32, but got 32"),
            std::string::npos);
  config = {};
  EXPECT_EQ(messageOf(config, ElementType::I8),
            "quantized paged KV cache: expected the element type to be f32, f16 or bf16, but got "
            "i8");
  config.exceptions[3] = {};
  EXPECT_NE(messageOf(config).find("expected exceptions for layers of 0 to 2, but got 3 to 3"),
            std::string::npos);
  QuantizedPagedKVCache failed(0, 1, 1, 1, 1, QuantizationConfig(), ElementType::F16);
  EXPECT_EQ(failed.getCompressionRatio(), 0);
  EXPECT_EQ(failed.appendKV(nullptr, nullptr, 0, 0, nullptr, nullptr).message(),
            failed.status().message());
  EXPECT_EQ(failed.lookupKV(nullptr, nullptr, 0, nullptr, nullptr).message(),
            failed.status().message());
}
