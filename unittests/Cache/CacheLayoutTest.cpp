// CacheLayout: strides of an odd cache by hand, no two elements at one address, names, limits, and
// comparison.

#include "llmir/Cache/CacheLayout.h"

#include <gtest/gtest.h>

#include <set>

using namespace llmir;

namespace {

CacheParameters oddParameters() {
  return {.keyType = ElementType::F16,
          .valueType = ElementType::F32,
          .numLayers = 2,
          .numKVHeads = 3,
          .keyHeadDim = 5,
          .valueHeadDim = 7,
          .blockSize = 3,
          .maxSeqLen = 11};
}

} // namespace

TEST(CacheLayoutTest, HasTheStridesOfTheDiagram) {
  llmir_cache_layout layout = *makeCacheLayout(oddParameters());
  EXPECT_EQ(layout.key_token_stride, 2);
  EXPECT_EQ(layout.key_channel_stride, 6);
  EXPECT_EQ(layout.value_offset, 64); // 3 * 5 * 2 = 30 bytes of keys
  EXPECT_EQ(layout.value_token_stride, 28);
  EXPECT_EQ(layout.value_channel_stride, 4);
  EXPECT_EQ(layout.head_stride, 64 + 128); // 3 * 7 * 4 = 84 bytes of values
  EXPECT_EQ(layout.layer_stride, 3 * 192);
  EXPECT_EQ(layout.block_stride, 2 * 3 * 192);
}

TEST(CacheLayoutTest, GivesEveryElementItsOwnBytes) {
  llmir_cache_layout layout = *makeCacheLayout(oddParameters());
  std::set<int64_t> bytes;
  size_t count = 0;
  auto add = [&](int64_t address, int64_t size) {
    for (int64_t i = 0; i < size; ++i, ++count)
      bytes.insert(address + i);
  };
  for (int64_t block = 0; block < 2; ++block)
    for (int64_t layer = 0; layer < 2; ++layer)
      for (int64_t head = 0; head < 3; ++head)
        for (int64_t token = 0; token < 3; ++token) {
          int64_t key = keyOffset(layout, block, layer, head, token);
          int64_t value = valueOffset(layout, block, layer, head, token);
          for (int64_t channel = 0; channel < 5; ++channel)
            add(key + channel * layout.key_channel_stride, 2);
          for (int64_t channel = 0; channel < 7; ++channel)
            add(value + channel * layout.value_channel_stride, 4);
        }
  EXPECT_EQ(bytes.size(), count);
  EXPECT_GE(*bytes.begin(), 0);
  EXPECT_LT(*bytes.rbegin(), 2 * layout.block_stride);
}

TEST(CacheLayoutTest, NamesTypes) {
  for (ElementType type : {ElementType::F32, ElementType::F16, ElementType::BF16})
    EXPECT_EQ(*parseElementType(elementTypeName(type)), type);
  EXPECT_EQ(elementSize(ElementType::F32), 4);
  EXPECT_EQ(elementSize(ElementType::BF16), 2);
  EXPECT_EQ(elementTypeName(9u), "type 9");
  EXPECT_EQ(parseElementType("f8").status().message(),
            "expected element type f32, f16 or bf16, but got 'f8'");
}

TEST(CacheLayoutTest, RefusesEachBadParameter) {
  auto messageOf = [](auto change) {
    CacheParameters parameters = oddParameters();
    change(parameters);
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters);
    return layout ? std::string("ok") : layout.status().message();
  };
  EXPECT_EQ(messageOf([](auto &p) { p.numLayers = 0; }),
            "expected 'num_layers' to be 1 to 1048576, but got 0");
  EXPECT_EQ(messageOf([](auto &p) { p.numKVHeads = -1; }),
            "expected 'num_kv_heads' to be 1 to 1048576, but got -1");
  EXPECT_NE(messageOf([](auto &p) { p.keyHeadDim = 0; }).find("'key_head_dim'"), std::string::npos);
  EXPECT_NE(messageOf([](auto &p) { p.valueHeadDim = 0; }).find("'value_head_dim'"),
            std::string::npos);
  EXPECT_NE(messageOf([](auto &p) { p.blockSize = 1 << 30; }).find("'block_size'"),
            std::string::npos);
  EXPECT_NE(messageOf([](auto &p) { p.maxSeqLen = 0; }).find("'max_seq_len'"), std::string::npos);
  EXPECT_NE(messageOf([](auto &p) {
              p.valueType = ElementType(7);
            }).find("'value_type' to be f32, f16 or bf16, but got type 7"),
            std::string::npos);
  EXPECT_NE(
      messageOf([](auto &p) { p.numLayers = p.numKVHeads = p.blockSize = 1 << 20; }).find("2^40"),
      std::string::npos);
}

TEST(CacheLayoutTest, NamesTheFirstDifference) {
  llmir_cache_layout first = *makeCacheLayout(oddParameters());
  EXPECT_TRUE(checkSameLayout(first, first).isOk());
  CacheParameters parameters = oddParameters();
  parameters.blockSize = 4;
  EXPECT_EQ(checkSameLayout(first, *makeCacheLayout(parameters)).message(),
            "expected a cache with 'block_size' 4, but it has 3");
  parameters = oddParameters();
  parameters.keyType = ElementType::BF16;
  EXPECT_EQ(checkSameLayout(first, *makeCacheLayout(parameters)).message(),
            "expected a cache with 'key_type' bf16, but it has f16");
  llmir_cache_layout other = first;
  other.value_scale_stride = 8;
  EXPECT_EQ(checkSameLayout(first, other).message(),
            "expected a cache with 'value_scale_stride' 8, but it has 0");
}
