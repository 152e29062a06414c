// The grid of compiled attention in every form (CMakeLists.txt has the cases), and what its tests
// share: sequences stored by the compiled function, whose bytes equal the naive storage rule's;
// attention over them, compiled and naive.

#ifndef LLMIR_UNITTESTS_CONVERSION_ATTENTIONFEATURES_H
#define LLMIR_UNITTESTS_CONVERSION_ATTENTIONFEATURES_H

#include "CompiledFunctions.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

namespace llmir::testing {

using StoreFunction = llmir_rt_cache *(*)(llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *,
                                          int64_t);
using AttendFunction = void (*)(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<2> *,
                                MemRef<1> *, MemRef<1> *, MemRef<1> *, MemRef<1> *, MemRef<1> *,
                                int64_t);

/// A line of the table of cases, and its compiled functions.
struct FeatureCase {
  const char *name, *keyType, *valueType, *scales, *scaleType;
  int64_t group, heads, kvHeads, keyDim, valueDim, blockSize, window, sinks;
  double softCap;
  int alibi, sinkLogits, treeMask, positions;
  const char *arrangement, *level; ///< Empty: the usual ones.
  StoreFunction store;
  AttendFunction attend;
};

inline void PrintTo(const FeatureCase &featureCase, std::ostream *stream) {
  *stream << featureCase.name;
}

#define FEATURE_CASE(name, ...)                                                                    \
  extern "C" llmir_rt_cache *_mlir_ciface_##name##_feature_store(                                  \
      llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *, int64_t);                           \
  extern "C" void _mlir_ciface_##name##_feature_attend(                                            \
      MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<2> *, MemRef<1> *, MemRef<1> *,           \
      MemRef<1> *, MemRef<1> *, MemRef<1> *, int64_t);
#include "FeatureCases.inc"
#undef FEATURE_CASE

#define FEATURE_CASE(name, ...)                                                                    \
  FeatureCase{#name, __VA_ARGS__, _mlir_ciface_##name##_feature_store,                             \
              _mlir_ciface_##name##_feature_attend},
inline const FeatureCase kFeatureCases[] = {
#include "FeatureCases.inc"
};
#undef FEATURE_CASE

inline constexpr int64_t kLayers = 2, kLayer = 1, kMaxSeqLen = 8192;
inline constexpr double kScale = 0.2f;
/// Tokens of the sequences: one, a partial block, several splits, a whole number of blocks.
inline const std::vector<int32_t> kLengths = {1, 83, 700, 256};

#ifdef LLMIR_FLOAT_DOTS // Kernels that multiply what is stored as f32, whatever it is.
inline constexpr bool kHasIntegerDots = false;
#else
inline constexpr bool kHasIntegerDots = true;
#endif

/// The largest difference that the arithmetic of compiled attention may make to the naive one over
/// the same stored numbers, which are about 1 (docs/Testing.md). Measured: at most 3e-6, and 2.2e-5
/// for scores that are sums of 576 products; by integer dots 2.5e-4 and 7.3e-4; by dots of bf16
/// 6e-3.
inline double arithmeticTolerance(const FeatureCase &c) {
  auto isInteger = [](std::string_view type) { return type == "i8" || type == "i4"; };
  if (c.level == std::string_view("avx512_bf16"))
    return 1.6e-2;
  if (kHasIntegerDots && (isInteger(c.keyType) || isInteger(c.valueType)))
    return c.keyDim <= 256 ? 5e-4 : 1e-3;
  return c.keyDim <= 256 ? 2e-5 : 5e-5;
}

class AttentionFeatures : public ::testing::TestWithParam<FeatureCase> {
protected:
  static CacheParameters parametersOf(const FeatureCase &c) {
    CacheParameters p;
    p.keyType = *parseElementType(c.keyType);
    p.valueType = *parseElementType(c.valueType);
    p.numLayers = kLayers;
    p.numKVHeads = c.kvHeads;
    p.keyHeadDim = c.keyDim;
    p.valueHeadDim = c.valueDim;
    p.blockSize = c.blockSize;
    p.maxSeqLen = kMaxSeqLen;
    auto scaled = [&](ElementType type) {
      return type > ElementType::BF16 ? *parseScaleGranularity(c.scales) : ScaleGranularity::None;
    };
    p.keyScales = scaled(p.keyType);
    p.valueScales = scaled(p.valueType);
    p.scaleType = *parseElementType(c.scaleType);
    p.keyScaleGroup = p.keyScales == ScaleGranularity::Group ? c.group : 0;
    p.valueScaleGroup = p.valueScales == ScaleGranularity::Group ? c.group : 0;
    p.window = c.window;
    p.numSinks = c.sinks;
    if (c.arrangement == std::string_view("pairs"))
      p.arrangement = CacheArrangement::Pairs;
    return p;
  }

  void SetUp() override { prepare(kLengths); }

  /// A cache with sequences of these lengths.
  void prepare(const std::vector<int32_t> &sequenceLengths) {
    contexts = sequenceLengths;
    int64_t blocks = 0;
    for (int32_t length : contexts)
      blocks += (length + c.blockSize - 1) / c.blockSize;
    cache.emplace(parametersOf(c), ElementType::F32, blocks + 3);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
    cache->shuffleFreeBlocks(5);
    if (cache->hasConstantScales()) {
      auto count = static_cast<size_t>(kLayers * c.kvHeads);
      for (size_t i = 0; i < count; ++i) {
        keyScales.push_back(0.01f + 0.003f * float(i));
        valueScales.push_back(0.02f + 0.002f * float(i));
      }
      const llmir_cache_layout &layout = cache->layout();
      auto isConstant = [](uint32_t granularity) {
        return granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
      };
      if (layout.key_scale_granularity == LLMIR_SCALE_TENSOR)
        std::fill(keyScales.begin(), keyScales.end(), 0.02f);
      if (layout.value_scale_granularity == LLMIR_SCALE_TENSOR)
        std::fill(valueScales.begin(), valueScales.end(), 0.02f);
      if (!isConstant(layout.key_scale_granularity))
        keyScales.clear();
      if (!isConstant(layout.value_scale_granularity))
        valueScales.clear();
      ASSERT_TRUE(cache->setConstantScales(keyScales, valueScales).isOk());
    }
    fill();
  }

  reference::ConstantScales constants() const { return {keyScales, valueScales}; }

  /// Stores all tokens of all sequences by the compiled function and by the naive rule.
  void fill() {
    std::vector<AppendRequest> requests;
    for (size_t s = 0; s < contexts.size(); ++s)
      requests.push_back({SequenceId{static_cast<int32_t>(s)}, contexts[s]});
    ASSERT_TRUE(cache->reserve(requests, tables).isOk());
    auto tokens = static_cast<int64_t>(tables.slots.size());
    std::vector<uint8_t> expected = poolBytes(*cache);
    keys = randomTensor(ElementType::F32, tokens * c.kvHeads * c.keyDim, random);
    values = randomTensor(ElementType::F32, tokens * c.kvHeads * c.valueDim, random);
    for (int64_t i = 0; i < c.kvHeads * c.keyDim; ++i)
      keys.set(i, 0.0); // A scale of 0.
    MemRef<3> k = describe<3>(keys.data(), {tokens, c.kvHeads, c.keyDim});
    MemRef<3> v = describe<3>(values.data(), {tokens, c.kvHeads, c.valueDim});
    MemRef<1> s = describe(tables.slots);
    c.store(cache->handle(), &k, &v, &s, kLayer);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
    for (int64_t t = 0; t < tokens; ++t) {
      std::vector<double> key, value;
      for (int64_t i = 0; i < c.kvHeads * c.keyDim; ++i)
        key.push_back(keys.at(t * c.kvHeads * c.keyDim + i));
      for (int64_t i = 0; i < c.kvHeads * c.valueDim; ++i)
        value.push_back(values.at(t * c.kvHeads * c.valueDim + i));
      reference::storeToken(cache->layout(), expected.data(), kLayer,
                            tables.slots[static_cast<size_t>(t)], key, value, constants());
    }
    ASSERT_TRUE(poolBytes(*cache) == expected) << "stored bytes differ from the naive rule's";
  }

  /// Attention of the last counts[s] tokens of each sequence whose contexts are `lengths`.
  TensorBytes attend(const TensorBytes &query, const std::vector<int32_t> &lengths,
                     const std::vector<int32_t> &counts, const std::vector<uint64_t> &tree,
                     const std::vector<int32_t> &positions) {
    std::vector<int32_t> cu = {0};
    for (int32_t count : counts)
      cu.push_back(cu.back() + count);
    MemRef<3> q = describe<3>(query.data(), {cu.back(), c.heads, c.keyDim}), output;
    MemRef<2> t = describe<2>(tables.table.data(),
                              {static_cast<int64_t>(contexts.size()), tables.tableStride});
    MemRef<1> l = describe(lengths), u = describe(cu);
    MemRef<1> sinks = describe<1>(sinkLogits.data(), {c.heads});
    MemRef<1> mask = describe<1>(tree.data(), {static_cast<int64_t>(tree.size())});
    MemRef<1> p = describe(positions);
    c.attend(&output, &q, cache->handle(), &t, &l, &u, &sinks, &mask, &p, kLayer);
    EXPECT_EQ(output.sizes, (std::array<int64_t, 3>{cu.back(), c.heads, c.valueDim}));
    EXPECT_TRUE(cache->status().isOk()) << cache->status().message();
    return TensorBytes(ElementType::F32, output);
  }

  /// Each token sees itself and one half of those before it in the step.
  std::vector<uint64_t> makeTree(const std::vector<int32_t> &counts) {
    std::vector<uint64_t> masks;
    for (int32_t count : counts)
      for (int32_t i = 0; i < count; ++i)
        masks.push_back((uint64_t(random()) * 0x100000001ull & 0x5555555555555555ull) |
                        uint64_t(1) << (i & 63));
    return masks;
  }

  /// Depths of a tree: its root follows the tokens before the step.
  std::vector<int32_t> makePositions(const std::vector<int32_t> &counts) {
    std::vector<int32_t> positions;
    for (size_t s = 0; s < counts.size(); ++s)
      for (int32_t i = 0, depth = 0; i < counts[s]; ++i) {
        positions.push_back(contexts[s] - counts[s] + depth);
        depth = static_cast<int32_t>(random() % static_cast<uint32_t>(i + 2)) * 2 / 3;
      }
    return positions;
  }

  /// What a step of these tokens gives, from keys and values as they stand in the cache.
  reference::Matrix expect(size_t s, const reference::Matrix &query, int64_t context,
                           std::span<const uint64_t> tree, std::span<const int32_t> positions) {
    reference::Matrix keys(context, c.kvHeads * c.keyDim), values(context, c.kvHeads * c.valueDim);
    const llmir_cache_layout &layout = cache->layout();
    for (int64_t t = 0; t < context; ++t) {
      int64_t block = tables.table[s * static_cast<size_t>(tables.tableStride) +
                                   static_cast<size_t>(t / c.blockSize)];
      int64_t slot = block * c.blockSize + t % c.blockSize;
      for (int64_t head = 0; head < c.kvHeads; ++head) {
        for (int64_t d = 0; d < c.keyDim; ++d)
          keys.at(t, head * c.keyDim + d) =
              reference::readKey(layout, cache->base(), kLayer, slot, head, d, constants());
        for (int64_t d = 0; d < c.valueDim; ++d)
          values.at(t, head * c.valueDim + d) =
              reference::readValue(layout, cache->base(), kLayer, slot, head, d, constants());
      }
    }
    return expectFrom(query, keys, values, tree, positions);
  }

  reference::Matrix expectFrom(const reference::Matrix &query, const reference::Matrix &keys,
                               const reference::Matrix &values, std::span<const uint64_t> tree,
                               std::span<const int32_t> positions) {
    reference::AttentionOptions options{c.window, c.sinks, c.softCap, {}, {}, {}, {}};
    if (c.positions)
      options.positions = positions;
    if (c.alibi)
      options.alibiSlopes = slopes;
    if (c.sinkLogits)
      options.sinkLogits = sinkLogits;
    if (c.treeMask)
      options.treeMask = tree;
    return reference::attention(query, keys, values,
                                {c.heads, c.kvHeads, c.keyDim, c.valueDim, kScale}, options);
  }

  const FeatureCase &c = GetParam();
  std::mt19937 random{7};
  std::optional<PagedKVCache> cache;
  CacheStepTables tables;
  std::vector<int32_t> contexts;
  /// What was stored: the sequences' tokens one after another.
  TensorBytes keys{ElementType::F32, 0}, values{ElementType::F32, 0};
  std::vector<float> keyScales, valueScales, sinkLogits, slopes;
  AttentionFeatures() {
    for (int64_t head = 0; head < GetParam().heads; ++head) {
      sinkLogits.push_back(0.5f - 0.25f * float(head));
      slopes.push_back(0.0625f * float(head + 1)); // As CMakeLists.txt writes them.
    }
  }
};

inline std::string nameOf(const ::testing::TestParamInfo<FeatureCase> &info) {
  return info.param.name;
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_CONVERSION_ATTENTIONFEATURES_H
