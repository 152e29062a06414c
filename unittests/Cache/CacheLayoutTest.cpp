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

/// The example of docs/CacheLayout.md, without padding.
TEST(CacheLayoutTest, CountsWhatATokenTakes) {
  auto bytes = [](ElementType type, ScaleGranularity scales, ElementType scaleType,
                  int64_t group = 0) {
    CacheParameters parameters{.keyType = type,
                               .valueType = type,
                               .numLayers = 30,
                               .numKVHeads = 3,
                               .keyHeadDim = 64,
                               .valueHeadDim = 64,
                               .blockSize = 16,
                               .maxSeqLen = 64};
    parameters.keyScales = parameters.valueScales = scales;
    parameters.scaleType = scaleType;
    parameters.keyScaleGroup = parameters.valueScaleGroup = group;
    return storedBytesPerToken(*makeCacheLayout(parameters));
  };
  using Type = ElementType;
  using Scales = ScaleGranularity;
  EXPECT_EQ(bytes(Type::F16, Scales::None, Type::F32), 30 * 3 * 2 * 128);
  EXPECT_EQ(bytes(Type::I8, Scales::Token, Type::F32), 30 * 3 * 2 * (64 + 4));
  EXPECT_EQ(bytes(Type::I8, Scales::Head, Type::F32), 30 * 3 * 2 * 64);
  EXPECT_EQ(bytes(Type::I4, Scales::Token, Type::F16), 30 * 3 * 2 * (32 + 2));
  EXPECT_EQ(bytes(Type::I4, Scales::Group, Type::F16, 16), 30 * 3 * 2 * (32 + 4 * 2));
  EXPECT_EQ(storedBytesPerToken(*makeCacheLayout(oddParameters())), 2 * 3 * (5 * 2 + 7 * 4));
}

TEST(CacheLayoutTest, NamesNumbers) {
  for (uint32_t type = LLMIR_F32; type <= LLMIR_I4; ++type)
    EXPECT_EQ(*parseElementType(elementTypeName(type)), ElementType(type));
  for (uint32_t granularity = 0; granularity <= LLMIR_SCALE_GROUP; ++granularity)
    EXPECT_EQ(*parseScaleGranularity(scaleGranularityName(ScaleGranularity(granularity))),
              ScaleGranularity(granularity));
  for (uint32_t arrangement = 0; arrangement <= LLMIR_PAIRS; ++arrangement)
    EXPECT_EQ(*parseCacheArrangement(cacheArrangementName(CacheArrangement(arrangement))),
              CacheArrangement(arrangement));
  EXPECT_EQ(elementTypeName(LLMIR_F8E4M3FN), "f8E4M3FN");
  EXPECT_EQ(elementSize(ElementType::F32), 4);
  EXPECT_EQ(elementSize(ElementType::BF16), 2);
  EXPECT_EQ(elementSize(ElementType::F8E5M2), 1);
  EXPECT_EQ(elementSize(ElementType::I4), 0);
  EXPECT_EQ(elementTypeName(9u), "type 9");
  EXPECT_EQ(scaleGranularityName(ScaleGranularity(9)), "granularity 9");
  EXPECT_EQ(cacheArrangementName(CacheArrangement(9)), "arrangement 9");
  EXPECT_EQ(parseElementType("f8").status().message(),
            "expected element type f32, f16, bf16, f8E4M3FN, f8E5M2, i8 or i4, but got 'f8'");
  EXPECT_EQ(parseCacheArrangement("rows").status().message(),
            "expected arrangement channel_major_keys, token_major_keys or pairs, but got 'rows'");
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
  EXPECT_NE(
      messageOf([](auto &p) { p.valueType = ElementType(7); }).find("i8 or i4, but got type 7"),
      std::string::npos);
  EXPECT_NE(
      messageOf([](auto &p) { p.numLayers = p.numKVHeads = p.blockSize = 1 << 20; }).find("2^40"),
      std::string::npos);
}

TEST(CacheLayoutTest, RefusesWhatDoesNotGoTogether) {
  CacheParameters good = {.keyType = ElementType::I8,
                          .valueType = ElementType::I4,
                          .numLayers = 1,
                          .numKVHeads = 1,
                          .keyHeadDim = 8,
                          .valueHeadDim = 8,
                          .blockSize = 4,
                          .maxSeqLen = 16,
                          .keyScales = ScaleGranularity::Group,
                          .valueScales = ScaleGranularity::Group,
                          .scaleType = ElementType::F16,
                          .keyScaleGroup = 8,
                          .valueScaleGroup = 4};
  auto messageOf = [&](auto change) {
    CacheParameters parameters = good;
    change(parameters);
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters);
    return layout ? std::string("ok") : layout.status().message();
  };
  EXPECT_EQ(messageOf([](auto &) {}), "ok");
  EXPECT_EQ(messageOf([](auto &p) { p.keyScales = ScaleGranularity::None; }),
            "expected 'key_scales' with 'key_type' i8: integer codes have no meaning without "
            "scales");
  EXPECT_EQ(messageOf([](auto &p) { p.valueType = ElementType::BF16; }),
            "expected no 'value_scales' with 'value_type' bf16, which is stored as it is, but got "
            "group");
  EXPECT_EQ(messageOf([](auto &p) { p.keyScales = ScaleGranularity::Token; }),
            "expected 'key_scale_group' to be 0 with 'key_scales' token, but got 8");
  EXPECT_EQ(messageOf([](auto &p) { p.keyScaleGroup = 3; }),
            "expected 'key_scale_group' to divide 'key_head_dim' 8, but got 3");
  EXPECT_EQ(messageOf([](auto &p) { p.keyScaleGroup = 0; }),
            "expected 'key_scale_group' to divide 'key_head_dim' 8, but got 0");
  EXPECT_EQ(messageOf([](auto &p) { p.valueScaleGroup = 8; }),
            "expected 'value_scale_group' to divide half of 'value_head_dim' 8, but got 8");
  EXPECT_EQ(messageOf([](auto &p) { p.valueHeadDim = 7; }),
            "expected 'value_head_dim' to be even with i4, of which two share a byte, but got 7");
  EXPECT_EQ(messageOf([](auto &p) { p.scaleType = ElementType::I8; }),
            "expected 'scale_type' to be f32, f16 or bf16, but got i8");
  EXPECT_EQ(messageOf([](auto &p) { p.valueScales = ScaleGranularity(5); }),
            "expected 'value_scales' to be none, tensor, head, token or group, but got "
            "granularity 5");
  EXPECT_EQ(messageOf([](auto &p) { p.numSinks = 2; }),
            "expected 'num_sinks' to be 0 without a window, but got 2");
  EXPECT_EQ(messageOf([](auto &p) { p.window = -1; }),
            "expected 'window' to be 0 to 1073741823, but got -1");
  EXPECT_EQ(messageOf([](auto &p) { p.window = 8, p.numSinks = 2; }), "ok");
  EXPECT_EQ(messageOf([](auto &p) { p.arrangement = CacheArrangement(3); }),
            "expected 'arrangement' to be channel_major_keys, token_major_keys or pairs, but got "
            "arrangement 3");
  EXPECT_EQ(messageOf([](auto &p) { p.arrangement = CacheArrangement::Pairs; }),
            "expected 'key_type' to be bf16 in arrangement pairs, but got i8");
}

TEST(CacheLayoutTest, RefusesOddPairs) {
  CacheParameters pairs = {.keyType = ElementType::BF16,
                           .valueType = ElementType::BF16,
                           .numLayers = 1,
                           .numKVHeads = 1,
                           .keyHeadDim = 6,
                           .valueHeadDim = 4,
                           .blockSize = 2,
                           .maxSeqLen = 16,
                           .arrangement = CacheArrangement::Pairs};
  EXPECT_TRUE(makeCacheLayout(pairs).isOk());
  pairs.blockSize = 3;
  EXPECT_EQ(makeCacheLayout(pairs).status().message(),
            "expected 'block_size' to be even in arrangement pairs, but got 3");
  pairs.valueHeadDim = 5;
  EXPECT_EQ(makeCacheLayout(pairs).status().message(),
            "expected 'value_head_dim' to be even in arrangement pairs, but got 5");
}

TEST(CacheLayoutTest, NamesNoScaleTypeWhereNoScaleIsStored) {
  CacheParameters parameters = oddParameters();
  parameters.keyType = ElementType::I8;
  parameters.keyScales = ScaleGranularity::Head;
  parameters.scaleType = ElementType::F16;
  llmir_cache_layout layout = *makeCacheLayout(parameters);
  EXPECT_EQ(layout.scale_type, uint32_t(LLMIR_F32));
  EXPECT_EQ(layout.key_scale_offset, 0);
  parameters.keyScales = ScaleGranularity::Token;
  layout = *makeCacheLayout(parameters);
  EXPECT_EQ(layout.scale_type, uint32_t(LLMIR_F16));
  EXPECT_EQ(layout.key_scale_offset, 64 + 128); // 15 bytes of keys, 84 of values
  EXPECT_EQ(layout.key_scale_stride, 6);
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
