// Compiled attention in every form: storage types and scales, unlike keys and values, windows and
// sinks, soft caps, ALiBi, learned sinks, tree masks, blocks of 1 to 256 tokens. Stored bytes equal
// the naive storage rule's, outputs the naive attention over what was stored.

#include "CompiledFunctions.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

// Tokens that are cut into chunks; a program whose kernels run thread by thread takes fewer.
#ifndef LLMIR_CHUNKED_TOKENS
#define LLMIR_CHUNKED_TOKENS 70
#endif

using namespace llmir;
using namespace llmir::testing;

namespace {

using StoreFunction = llmir_rt_cache *(*)(llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *,
                                          int64_t);
using AttendFunction = void (*)(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<2> *,
                                MemRef<1> *, MemRef<1> *, MemRef<1> *, MemRef<1> *, int64_t);

/// A line of the table of cases, and its compiled functions.
struct FeatureCase {
  const char *name, *keyType, *valueType, *scales, *scaleType;
  int64_t group, heads, kvHeads, keyDim, valueDim, blockSize, window, sinks;
  double softCap;
  int alibi, sinkLogits, treeMask;
  StoreFunction store;
  AttendFunction attend;
};

void PrintTo(const FeatureCase &featureCase, std::ostream *stream) { *stream << featureCase.name; }

} // namespace

#define FEATURE_CASE(name, ...)                                                                    \
  extern "C" llmir_rt_cache *_mlir_ciface_##name##_feature_store(                                  \
      llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *, int64_t);                           \
  extern "C" void _mlir_ciface_##name##_feature_attend(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, \
                                                       MemRef<2> *, MemRef<1> *, MemRef<1> *,      \
                                                       MemRef<1> *, MemRef<1> *, int64_t);
#include "FeatureCases.inc"
#undef FEATURE_CASE

namespace {

#define FEATURE_CASE(name, ...)                                                                    \
  FeatureCase{#name, __VA_ARGS__, _mlir_ciface_##name##_feature_store,                             \
              _mlir_ciface_##name##_feature_attend},
const FeatureCase kCases[] = {
#include "FeatureCases.inc"
};
#undef FEATURE_CASE

constexpr int64_t kLayers = 2, kLayer = 1, kMaxSeqLen = 2048;
constexpr double kScale = 0.2f;
/// Tokens of the sequences: one, a partial block, several splits, a whole number of blocks.
const std::vector<int32_t> kLengths = {1, 83, 700, 256};

class AttentionFeaturesTest : public ::testing::TestWithParam<FeatureCase> {
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
    return p;
  }

  void SetUp() override {
    int64_t blocks = 0;
    for (int32_t length : kLengths)
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
    for (size_t s = 0; s < kLengths.size(); ++s)
      requests.push_back({SequenceId{static_cast<int32_t>(s)}, kLengths[s]});
    ASSERT_TRUE(cache->reserve(requests, tables).isOk());
    auto tokens = static_cast<int64_t>(tables.slots.size());
    std::vector<uint8_t> expected = poolBytes(*cache);
    TensorBytes keys = randomTensor(ElementType::F32, tokens * c.kvHeads * c.keyDim, random);
    TensorBytes values = randomTensor(ElementType::F32, tokens * c.kvHeads * c.valueDim, random);
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
                     const std::vector<int32_t> &counts, const std::vector<uint64_t> &tree) {
    std::vector<int32_t> cu = {0};
    for (int32_t count : counts)
      cu.push_back(cu.back() + count);
    MemRef<3> q = describe<3>(query.data(), {cu.back(), c.heads, c.keyDim}), output;
    MemRef<2> t = describe<2>(tables.table.data(),
                              {static_cast<int64_t>(kLengths.size()), tables.tableStride});
    MemRef<1> l = describe(lengths), u = describe(cu);
    MemRef<1> sinks = describe<1>(sinkLogits.data(), {c.heads});
    MemRef<1> mask = describe<1>(tree.data(), {static_cast<int64_t>(tree.size())});
    c.attend(&output, &q, cache->handle(), &t, &l, &u, &sinks, &mask, kLayer);
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

  reference::Matrix expect(size_t s, const reference::Matrix &query, int64_t context,
                           std::span<const uint64_t> tree) {
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
    reference::AttentionOptions options{c.window, c.sinks, c.softCap, {}, {}, {}};
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
  std::vector<float> keyScales, valueScales, sinkLogits, slopes;
  AttentionFeaturesTest() {
    for (int64_t head = 0; head < GetParam().heads; ++head) {
      sinkLogits.push_back(0.5f - 0.25f * float(head));
      slopes.push_back(0.0625f * float(head + 1)); // As CMakeLists.txt writes them.
    }
  }
};

std::string nameOf(const ::testing::TestParamInfo<FeatureCase> &info) { return info.param.name; }

} // namespace

// Measured: at most 3e-6 of the largest value.
TEST_P(AttentionFeaturesTest, EqualsTheNaiveAttention) {
  const std::vector<std::vector<int32_t>> batches = {
      {1, 1, 1, 1}, {0, 5, 12, 33}, {1, 60, 3, 0}, {0, 0, 0, 0}};
  for (const std::vector<int32_t> &counts : batches) {
    int64_t tokens = 0;
    for (int32_t count : counts)
      tokens += count;
    TensorBytes query = randomTensor(ElementType::F32, tokens * c.heads * c.keyDim, random);
    std::vector<uint64_t> tree = makeTree(counts);
    TensorBytes output = attend(query, kLengths, counts, tree);
    reference::Matrix rows = query.toMatrix(c.heads * c.keyDim);
    reference::Matrix actual = output.toMatrix(c.heads * c.valueDim);
    int64_t first = 0;
    for (size_t s = 0; s < counts.size(); first += counts[s++]) {
      reference::Matrix part(counts[s], rows.cols()), got(counts[s], actual.cols());
      for (int64_t i = 0; i < counts[s]; ++i) {
        std::ranges::copy(rows.row(first + i), part.row(i).begin());
        std::ranges::copy(actual.row(first + i), got.row(i).begin());
      }
      auto masks =
          std::span(tree).subspan(static_cast<size_t>(first), static_cast<size_t>(counts[s]));
      double difference = reference::largestDifference(got, expect(s, part, kLengths[s], masks));
      EXPECT_LE(difference, 2e-5) << "sequence " << s << ", " << counts[s] << " tokens";
    }
  }
}

// One token at a time, in chunks and together: the same bytes.
TEST_P(AttentionFeaturesTest, GivesTheSameBytesForAnyChunk) {
  if (c.treeMask)
    GTEST_SKIP() << "a tree mask is about the tokens of one step";
  constexpr int32_t tokens = LLMIR_CHUNKED_TOKENS;
  int64_t cols = c.heads * c.keyDim, outCols = c.heads * c.valueDim;
  TensorBytes query = randomTensor(ElementType::F32, tokens * cols, random);
  TensorBytes whole = attend(query, kLengths, {0, 0, tokens, 0}, {});
  for (int32_t chunk : {1, 4, 9}) {
    for (int32_t first = 0; first < tokens; first += chunk) {
      int32_t count = std::min(chunk, tokens - first);
      std::vector<int32_t> lengths = kLengths;
      lengths[2] = kLengths[2] - tokens + first + count;
      TensorBytes part(ElementType::F32, count * cols);
      std::copy_n(query.data() + first * cols * 4, count * cols * 4, part.writable());
      TensorBytes output = attend(part, lengths, {0, 0, count, 0}, {});
      ASSERT_EQ(output.slice(0, count * outCols), whole.slice(first * outCols, count * outCols))
          << "tokens " << first << " to " << first + count - 1 << " in chunks of " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Grid, AttentionFeaturesTest, ::testing::ValuesIn(kCases), nameOf);
