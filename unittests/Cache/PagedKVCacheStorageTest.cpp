// PagedKVCache with storage unlike its arrays: sequences that grow in turns, fork and are read back
// give what the reference makes of the same numbers; layer ranges; constants are asked for.

#include "llmir/Cache/PagedKVCache.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <vector>

using namespace llmir;

namespace {

constexpr int64_t numLayers = 2, numHeads = 2, dim = 24, blockSize = 4, maxSeqLen = 64;

CacheParameters parametersFor(ElementType keys, ScaleGranularity keyScales, ElementType values,
                              ScaleGranularity valueScales) {
  return {.keyType = keys,
          .valueType = values,
          .numLayers = numLayers,
          .numKVHeads = numHeads,
          .keyHeadDim = dim,
          .valueHeadDim = dim,
          .blockSize = blockSize,
          .maxSeqLen = maxSeqLen,
          .keyScales = keyScales,
          .valueScales = valueScales,
          .scaleType = ElementType::F16,
          .keyScaleGroup = keyScales == ScaleGranularity::Group ? 6 : 0,
          .valueScaleGroup = valueScales == ScaleGranularity::Group ? 6 : 0};
}

/// A cache and, for each sequence, the numbers that were appended: [token][layer, head, channel].
class Model {
public:
  explicit Model(const CacheParameters &parameters)
      : cache_(parameters, ElementType::F32, 40), shadow_(cache_.sizeInBytes(), 0) {
    std::vector<float> keys(numLayers * numHeads, 0.25f), values(numLayers * numHeads, 0.5f);
    if (cache_.hasConstantScales()) {
      bool ofKeys = parameters.keyScales == ScaleGranularity::Head;
      bool ofValues = parameters.valueScales == ScaleGranularity::Head;
      keyScales_ = ofKeys ? keys : std::vector<float>();
      valueScales_ = ofValues ? values : std::vector<float>();
      EXPECT_TRUE(cache_.setConstantScales(keyScales_, valueScales_).isOk());
    }
  }

  PagedKVCache &cache() { return cache_; }

  void append(int32_t id, int64_t tokens) {
    auto count = static_cast<size_t>(numLayers * tokens * numHeads * dim);
    std::vector<float> keys(count), values(count);
    for (size_t i = 0; i < count; ++i) {
      keys[i] = float(int(random_() % 2001) - 1000) / 64;
      values[i] = float(int(random_() % 2001) - 1000) / 512;
    }
    std::vector<int32_t> blocks(static_cast<size_t>(tokens));
    Status status = cache_.appendKV(keys.data(), values.data(), 1, tokens, &id, blocks.data());
    ASSERT_TRUE(status.isOk()) << status.message();
    auto &known = tokens_[id];
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<double> token;
      for (const std::vector<float> *side : {&keys, &values})
        for (int64_t layer = 0; layer < numLayers; ++layer) {
          auto row = side->begin() + (layer * tokens + t) * numHeads * dim;
          token.insert(token.end(), row, row + numHeads * dim);
        }
      known.push_back(token);
    }
  }

  void fork(int32_t parent, int32_t child) {
    ASSERT_TRUE(cache_.fork(SequenceId{parent}, SequenceId{child}).isOk());
    tokens_[child] = std::vector(tokens_[parent]);
  }

  /// What is read of a sequence is what the reference reads of a block of its own.
  void check(int32_t id) {
    const auto &known = tokens_[id];
    auto length = static_cast<int32_t>(known.size());
    std::vector<int32_t> blocks;
    for (int64_t t = 0; t < length; ++t)
      blocks.push_back(*cache_.slot(SequenceId{id}, t) / int32_t(blockSize));
    auto size = static_cast<size_t>(numLayers * length * numHeads * dim);
    std::vector<float> keys(size), values(size);
    Status found = cache_.lookupKV(blocks.data(), &length, 1, keys.data(), values.data());
    ASSERT_TRUE(found.isOk()) << found.message();
    const llmir_cache_layout &layout = cache_.layout();
    reference::ConstantScales constants{keyScales_, valueScales_};
    size_t next = 0, half = numLayers * numHeads * dim;
    for (int64_t layer = 0; layer < numLayers; ++layer)
      for (size_t t = 0; t < known.size(); ++t) {
        auto offset = static_cast<size_t>(layer * numHeads * dim);
        std::span<const double> token(known[t]);
        reference::storeToken(layout, shadow_.data(), layer, 1,
                              token.subspan(offset, numHeads * dim),
                              token.subspan(half + offset, numHeads * dim), constants);
        for (int64_t head = 0; head < numHeads; ++head)
          for (int64_t c = 0; c < dim; ++c, ++next) {
            ASSERT_EQ(keys[next],
                      reference::readKey(layout, shadow_.data(), layer, 1, head, c, constants));
            ASSERT_EQ(values[next],
                      reference::readValue(layout, shadow_.data(), layer, 1, head, c, constants));
          }
      }
  }

private:
  PagedKVCache cache_;
  std::vector<uint8_t> shadow_;
  std::vector<float> keyScales_, valueScales_;
  std::mt19937 random_{11};
  std::map<int32_t, std::vector<std::vector<double>>> tokens_;
};

} // namespace

TEST(PagedKVCacheStorageTest, ReadsWhatTheRuleMakesOfIt) {
  using Type = ElementType;
  using Scales = ScaleGranularity;
  for (const CacheParameters &parameters :
       {parametersFor(Type::I8, Scales::Token, Type::I8, Scales::Token),
        parametersFor(Type::I4, Scales::Group, Type::I8, Scales::Head),
        parametersFor(Type::F8E4M3FN, Scales::None, Type::F8E5M2, Scales::Token),
        parametersFor(Type::I8, Scales::Head, Type::F16, Scales::None),
        parametersFor(Type::BF16, Scales::None, Type::I4, Scales::Token)}) {
    SCOPED_TRACE(elementTypeName(parameters.keyType) + " " + elementTypeName(parameters.valueType));
    Model model(parameters);
    ASSERT_TRUE(model.cache().status().isOk()) << model.cache().status().message();
    for (int step = 0; step < 6; ++step)
      for (int32_t id : {3, 8})
        ASSERT_NO_FATAL_FAILURE(model.append(id, 1 + (step + id) % 4));
    model.fork(3, 4);
    model.append(4, 3);
    model.append(3, 2);
    for (int32_t id : {3, 4, 8})
      ASSERT_NO_FATAL_FAILURE(model.check(id)) << id;
  }
}

TEST(PagedKVCacheStorageTest, WritesAndReadsRangesOfLayers) {
  PagedKVCache cache(4, 1, 2, 2, 8, ElementType::F32);
  int32_t id = 1, length = 2;
  std::vector<int32_t> blocks(2), again(2);
  std::vector<float> first(12), second(4), keys(12), values(12);
  for (size_t i = 0; i < first.size(); ++i)
    first[i] = float(i);
  second = {50, 51, 52, 53};
  ASSERT_TRUE(cache.appendKV(first.data(), first.data(), 1, 2, &id, blocks.data(), LayerRange{0, 3})
                  .isOk());
  ASSERT_TRUE(
      cache.appendKV(second.data(), second.data(), 1, 2, &id, again.data(), LayerRange{3, 1})
          .isOk());
  EXPECT_EQ(blocks, again);
  ASSERT_TRUE(
      cache.lookupKV(blocks.data(), &length, 1, keys.data(), values.data(), LayerRange{1, 3})
          .isOk());
  EXPECT_EQ(keys, (std::vector<float>{4, 5, 6, 7, 8, 9, 10, 11, 50, 51, 52, 53}));
  EXPECT_EQ(values, keys);
  EXPECT_EQ(cache.lookupKV(blocks.data(), &length, 1, keys.data(), values.data(), LayerRange{2, 3})
                .message(),
            "expected layers of 0 to 3, but got 3 from 2 on");
  EXPECT_FALSE(
      cache.appendKV(first.data(), first.data(), 1, 2, &id, nullptr, LayerRange{0, 0}).isOk());
}

TEST(PagedKVCacheStorageTest, AsksForConstantsOnce) {
  PagedKVCache cache(parametersFor(ElementType::I8, ScaleGranularity::Head, ElementType::F16,
                                   ScaleGranularity::None),
                     ElementType::F32, 4);
  std::vector<float> row(numLayers * numHeads * dim, 1.0f);
  int32_t id = 1;
  EXPECT_EQ(cache.appendKV(row.data(), row.data(), 1, 1, &id, nullptr).message(),
            "expected constant key scales with granularity tensor or head, but that of layer 0, "
            "head 0 was not given");
  EXPECT_FALSE(cache.contains(SequenceId{1}));
  std::vector<float> scales = {1, 2, 3, 4};
  EXPECT_EQ(cache.setConstantScales(scales, scales).message(),
            "expected 0 constant value scales, but got 4");
  scales[2] = -1;
  EXPECT_EQ(cache.setConstantScales(scales, {}).message(),
            "expected constant key scales to be finite and at least 0, but number 2 is -1.000000");
  scales[2] = 3;
  EXPECT_TRUE(cache.setConstantScales(scales, {}).isOk());
  EXPECT_TRUE(cache.setConstantScales(scales, {}).isOk());
  scales[0] = 5;
  EXPECT_EQ(cache.setConstantScales(scales, {}).code(), StatusCode::FailedPrecondition);
  EXPECT_TRUE(cache.appendKV(row.data(), row.data(), 1, 1, &id, nullptr).isOk());
  llmir_cache_view view = cache.view(CacheStepTables());
  EXPECT_EQ(view.key_scales[1], 2);
  EXPECT_EQ(view.value_scales, nullptr);
}

TEST(PagedKVCacheStorageTest, RefusesArraysOfCodes) {
  PagedKVCache cache(parametersFor(ElementType::I8, ScaleGranularity::Token, ElementType::I8,
                                   ScaleGranularity::Token),
                     ElementType::I8, 4);
  EXPECT_EQ(cache.status().message(), "paged KV cache: expected the element type of arrays to be "
                                      "f32, f16 or bf16, but got i8");
}
