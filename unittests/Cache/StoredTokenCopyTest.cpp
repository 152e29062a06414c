// Copies of stored tokens, for every storage type, granularity and arrangement: the copy has the
// token's bytes wherever they lie, and no other token's bytes change.

#include "llmir/Cache/StoredTokenCopy.h"
#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <random>

using namespace llmir;

namespace {

constexpr int64_t numTokens = 11;

CacheParameters parametersOf(ElementType keys, ElementType values, CacheArrangement arrangement,
                             ScaleGranularity keyScales, ScaleGranularity valueScales) {
  CacheParameters parameters;
  parameters.keyType = keys;
  parameters.valueType = values;
  parameters.numLayers = 2;
  parameters.numKVHeads = 3;
  parameters.keyHeadDim = 16;
  parameters.valueHeadDim = 8;
  parameters.blockSize = 4;
  parameters.maxSeqLen = 64;
  parameters.arrangement = arrangement;
  parameters.keyScales = keyScales;
  parameters.valueScales = valueScales;
  parameters.keyScaleGroup = keyScales == ScaleGranularity::Group ? 4 : 0;
  parameters.valueScaleGroup = valueScales == ScaleGranularity::Group ? 4 : 0;
  return parameters;
}

/// A sequence of random data and what is read back of it.
struct Filled {
  explicit Filled(const CacheParameters &parameters) : cache(parameters, 16) {
    const llmir_cache_layout &layout = cache.layout();
    auto sizeOf = [&](int64_t dim) {
      return static_cast<size_t>(layout.num_layers * numTokens * layout.num_kv_heads * dim);
    };
    keys.resize(4 * sizeOf(layout.key_head_dim));
    values.resize(4 * sizeOf(layout.value_head_dim));
    rowBytes[0] = keys.size() / static_cast<size_t>(layout.num_layers * numTokens);
    rowBytes[1] = values.size() / static_cast<size_t>(layout.num_layers * numTokens);
  }

  void fill() {
    // The widest arrays; what they mean does not matter, since they are read back the same way.
    std::mt19937 random(9);
    std::vector<float> in(keys.size() / 4 + values.size() / 4);
    for (float &value : in)
      value = static_cast<float>(random() % 2000) / 512 - 2;
    int32_t id = 1;
    blocks.resize(numTokens);
    ASSERT_TRUE(cache.appendKV(in.data(), in.data(), 1, numTokens, &id, blocks.data()).isOk());
  }

  void read() {
    auto length = static_cast<int32_t>(numTokens);
    ASSERT_TRUE(cache.lookupKV(blocks.data(), &length, 1, keys.data(), values.data()).isOk());
  }

  PagedKVCache cache;
  std::vector<int32_t> blocks;
  std::vector<uint8_t> keys, values;
  size_t rowBytes[2];
};

} // namespace

TEST(StoredTokenCopyTest, CopiesOneTokenAndNothingElse) {
  using E = ElementType;
  using S = ScaleGranularity;
  using A = CacheArrangement;
  int tried = 0;
  for (E keyType : {E::F32, E::F16, E::BF16, E::F8E4M3FN, E::F8E5M2, E::I8, E::I4})
    for (E valueType : {E::F32, E::BF16, E::I8, E::I4})
      for (A arrangement : {A::ChannelMajorKeys, A::TokenMajorKeys, A::Pairs})
        for (S scales : {S::None, S::Token, S::Group}) {
          auto scalesFor = [&](E type) {
            return type <= E::BF16 || scales == S::None ? S::None : scales;
          };
          CacheParameters parameters = parametersOf(keyType, valueType, arrangement,
                                                    scalesFor(keyType), scalesFor(valueType));
          if (!makeCacheLayout(parameters)) // a combination that there is not
            continue;
          Filled filled(parameters);
          ASSERT_TRUE(filled.cache.status().isOk());
          ASSERT_NO_FATAL_FAILURE(filled.fill());
          ASSERT_NO_FATAL_FAILURE(filled.read());
          std::vector<uint8_t> before[2] = {filled.keys, filled.values};
          constexpr size_t from = 9, to = 2;
          copyStoredToken(filled.cache.layout(), filled.cache.base(),
                          *filled.cache.slot(SequenceId{1}, from),
                          *filled.cache.slot(SequenceId{1}, to));
          ASSERT_NO_FATAL_FAILURE(filled.read());
          for (int side = 0; side < 2; ++side) {
            const std::vector<uint8_t> &now = side == 0 ? filled.keys : filled.values;
            // Arrays of two bytes an element fill half of the buffers.
            E type = side == 0 ? keyType : valueType;
            size_t row = filled.rowBytes[side] / (type == E::F16 || type == E::BF16 ? 2 : 1);
            for (size_t layer = 0; layer < 2; ++layer)
              for (size_t token = 0; token < numTokens; ++token) {
                auto at = [&](size_t t) { return (layer * numTokens + t) * row; };
                std::vector<uint8_t> expected(
                    before[side].begin() + std::ptrdiff_t(at(token == to ? from : token)),
                    before[side].begin() + std::ptrdiff_t(at(token == to ? from : token) + row));
                std::vector<uint8_t> found(now.begin() + std::ptrdiff_t(at(token)),
                                           now.begin() + std::ptrdiff_t(at(token) + row));
                ASSERT_EQ(found, expected)
                    << elementTypeName(keyType) << " " << elementTypeName(valueType) << " side "
                    << side << " token " << token;
              }
          }
          ++tried;
        }
  EXPECT_GT(tried, 40);
}
