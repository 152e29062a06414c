// A grid of caches, queries and batches: compiled append, store and attention against the naive
// kernels, and the same bytes for a token whatever is computed beside it. Every cache has scattered
// blocks of five sequences that interleave.

#include "CompiledFunctions.h"

#include <gmock/gmock.h>

#include <algorithm>

using namespace llmir;
using namespace llmir::testing;

namespace {

using AppendFunction = llmir_rt_cache *(*)(llmir_rt_cache *, MemRef<4> *, MemRef<4> *, MemRef<1> *);
using StoreFunction = llmir_rt_cache *(*)(llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *,
                                          int64_t);
using PaddedFunction = void (*)(MemRef<4> *, MemRef<4> *, llmir_rt_cache *, MemRef<1> *,
                                MemRef<1> *, int64_t);
using RaggedFunction = void (*)(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<1> *,
                                MemRef<1> *, MemRef<1> *, int64_t);

/// A line of the table of cases, and its compiled functions.
struct AttentionCase {
  const char *name;
  ElementType query, storage;
  int64_t heads, kvHeads, headDim, blockSize;
  AppendFunction append;
  StoreFunction store;
  PaddedFunction padded;
  RaggedFunction ragged;
};

void PrintTo(const AttentionCase &attentionCase, std::ostream *stream) {
  *stream << attentionCase.name;
}

constexpr ElementType f32 = ElementType::F32, f16 = ElementType::F16, bf16 = ElementType::BF16;

} // namespace

#define ATTENTION_CASE(name, ...)                                                                  \
  extern "C" llmir_rt_cache *_mlir_ciface_##name##_append(llmir_rt_cache *, MemRef<4> *,           \
                                                          MemRef<4> *, MemRef<1> *);               \
  extern "C" llmir_rt_cache *_mlir_ciface_##name##_store(llmir_rt_cache *, MemRef<3> *,            \
                                                         MemRef<3> *, MemRef<1> *, int64_t);       \
  extern "C" void _mlir_ciface_##name##_padded(MemRef<4> *, MemRef<4> *, llmir_rt_cache *,         \
                                               MemRef<1> *, MemRef<1> *, int64_t);                 \
  extern "C" void _mlir_ciface_##name##_ragged(MemRef<3> *, MemRef<3> *, llmir_rt_cache *,         \
                                               MemRef<1> *, MemRef<1> *, MemRef<1> *, int64_t);
#include "AttentionCases.inc"
#undef ATTENTION_CASE

namespace {

#define ATTENTION_CASE(name, ...)                                                                  \
  AttentionCase{#name,                                                                             \
                __VA_ARGS__,                                                                       \
                _mlir_ciface_##name##_append,                                                      \
                _mlir_ciface_##name##_store,                                                       \
                _mlir_ciface_##name##_padded,                                                      \
                _mlir_ciface_##name##_ragged},
const AttentionCase kCases[] = {
#include "AttentionCases.inc"
};
#undef ATTENTION_CASE

/// Largest difference from the naive kernels in double precision, relative to the largest |value|:
/// half a unit in the last place of the result, and f32 sums over 300 tokens (measured:
/// 2e-6, 4.4e-4, 2.6e-3).
double toleranceOf(ElementType result) {
  return result == f32 ? 1e-5 : result == f16 ? 6e-4 : 4.5e-3;
}

constexpr int64_t kLayers = 2, kMaxSeqLen = 512;
constexpr double kScale = 0.3f;

class PagedAttentionTest : public ::testing::TestWithParam<AttentionCase> {
protected:
  /// What a sequence holds, rounded as the cache stores it: a row for each token.
  struct History {
    std::vector<double> keys[kLayers], values[kLayers];
  };

  PagedAttentionTest()
      : cache({c.storage, c.storage, kLayers, c.kvHeads, c.headDim, c.headDim, c.blockSize,
               kMaxSeqLen},
              (1 + 17 + 300 + 64 + 33 + 300) / c.blockSize + 8) {}

  void SetUp() override {
    ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
    scatterFreeBlocks();
    // In turns, so that blocks interleave: sequence 2 grows to 300 tokens.
    append({2, 4}, 33);
    append({1, 3}, 7);
    append({2}, 100);
    append({0}, 1);
    append({3, 1}, 10);
    append({2}, 167);
    append({3}, 47);
  }

  /// Gives blocks back in another order than that in which they were taken.
  void scatterFreeBlocks() {
    CacheStepTables tables;
    std::vector<int32_t> ids;
    while (cache.pool().numFree() > 0) {
      ids.push_back(1000 + static_cast<int32_t>(ids.size()));
      AppendRequest request{SequenceId{ids.back()}, 1};
      ASSERT_TRUE(cache.reserve({&request, 1}, tables).isOk());
    }
    std::shuffle(ids.begin(), ids.end(), random);
    for (int32_t id : ids)
      ASSERT_TRUE(cache.freeSequence(SequenceId{id}).isOk());
  }

  /// Appends to layer 0 by llm.append_kv, then writes layer 1 by llm.store_kv.
  void append(const std::vector<int32_t> &ids, int64_t tokens) {
    auto batch = static_cast<int64_t>(ids.size());
    int64_t cols = c.kvHeads * c.headDim;
    MemRef<1> idsRef = describe(ids);
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      TensorBytes keys = randomTensor(c.query, batch * tokens * cols, random);
      TensorBytes values = randomTensor(c.query, batch * tokens * cols, random);
      if (layer == 0) {
        MemRef<4> k = describe<4>(keys.data(), {batch, tokens, c.kvHeads, c.headDim});
        MemRef<4> v = describe<4>(values.data(), {batch, tokens, c.kvHeads, c.headDim});
        EXPECT_EQ(c.append(cache.handle(), &k, &v, &idsRef), cache.handle());
      } else {
        std::vector<int32_t> slots = lastSlots(ids, tokens);
        MemRef<3> k = describe<3>(keys.data(), {batch * tokens, c.kvHeads, c.headDim});
        MemRef<3> v = describe<3>(values.data(), {batch * tokens, c.kvHeads, c.headDim});
        MemRef<1> s = describe(slots);
        EXPECT_EQ(c.store(cache.handle(), &k, &v, &s, layer), cache.handle());
      }
      ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
      for (int64_t b = 0; b < batch; ++b) {
        History &past = history[ids[b]];
        remember(past.keys[layer], keys, b * tokens * cols, tokens * cols, c.storage);
        remember(past.values[layer], values, b * tokens * cols, tokens * cols, c.storage);
      }
    }
  }

  std::vector<int32_t> lastSlots(const std::vector<int32_t> &ids, int64_t tokens) {
    std::vector<int32_t> slots;
    for (int32_t id : ids) {
      int64_t length = *cache.length(SequenceId{id});
      for (int64_t t = length - tokens; t < length; ++t)
        slots.push_back(*cache.slot(SequenceId{id}, t));
    }
    return slots;
  }

  static void remember(std::vector<double> &past, const TensorBytes &tensor, int64_t first,
                       int64_t count, ElementType storage) {
    TensorBytes rounded(storage, count);
    for (int64_t i = 0; i < count; ++i) {
      rounded.set(i, tensor.at(first + i));
      past.push_back(rounded.at(i));
    }
  }

  int64_t lengthOf(int32_t id) const { return *cache.length(SequenceId{id}); }

  /// The naive kernel for the last tokens of a sequence, which the rows of `query` are.
  reference::Matrix expect(int32_t id, int64_t layer, const reference::Matrix &query) {
    const History &past = history[id];
    int64_t tokens = lengthOf(id);
    return reference::attention(
        query, reference::Matrix(tokens, c.kvHeads * c.headDim, past.keys[layer]),
        reference::Matrix(tokens, c.kvHeads * c.headDim, past.values[layer]),
        {c.heads, c.kvHeads, c.headDim, c.headDim, kScale});
  }

  double largestValue(int32_t id, int64_t layer) {
    double largest = 0;
    for (double value : history[id].values[layer])
      largest = std::max(largest, std::abs(value));
    return largest;
  }

  /// A ragged call: sequence ids[s] has counts[s] query tokens.
  TensorBytes runRagged(const TensorBytes &query, const std::vector<int32_t> &ids,
                        const std::vector<int32_t> &counts, int64_t layer) {
    std::vector<int32_t> lengths, cu = {0};
    for (size_t s = 0; s < ids.size(); ++s) {
      lengths.push_back(static_cast<int32_t>(lengthOf(ids[s])));
      cu.push_back(cu.back() + counts[s]);
    }
    MemRef<3> q = describe<3>(query.data(), {cu.back(), c.heads, c.headDim}), output;
    MemRef<1> s = describe(ids), l = describe(lengths), u = describe(cu);
    c.ragged(&output, &q, cache.handle(), &s, &l, &u, layer);
    EXPECT_EQ(output.sizes, (std::array<int64_t, 3>{cu.back(), c.heads, c.headDim}));
    EXPECT_TRUE(cache.status().isOk()) << cache.status().message();
    return TensorBytes(c.query, output);
  }

  TensorBytes randomQuery(int64_t tokens) {
    return randomTensor(c.query, tokens * c.heads * c.headDim, random);
  }

  /// Compares the rows of a sequence, which start at row `first` of query and output.
  void compareRows(const TensorBytes &query, const TensorBytes &output, int64_t first,
                   int64_t count, int32_t id, int64_t layer) {
    int64_t cols = c.heads * c.headDim;
    reference::Matrix rows(count, cols), actual(count, cols);
    for (int64_t row = 0; row < count; ++row) {
      for (int64_t i = 0; i < cols; ++i) {
        rows.at(row, i) = query.at((first + row) * cols + i);
        actual.at(row, i) = output.at((first + row) * cols + i);
      }
    }
    double difference = reference::largestDifference(actual, expect(id, layer, rows));
    double relative = difference / largestValue(id, layer);
    EXPECT_LE(relative, toleranceOf(c.query)) << "sequence " << id << ", layer " << layer;
    worst = std::max(worst, relative);
  }

  void TearDown() override { RecordProperty("largest_difference", std::to_string(worst)); }

  const AttentionCase &c = GetParam();
  std::mt19937 random{11};
  PagedKVCache cache;
  History history[5];
  double worst = 0;
};

std::string nameOf(const ::testing::TestParamInfo<AttentionCase> &info) { return info.param.name; }

} // namespace

TEST_P(PagedAttentionTest, StoresRoundedKeysAndValues) {
  for (int32_t id = 0; id < 5; ++id) {
    auto tokens = static_cast<int32_t>(lengthOf(id));
    std::vector<int32_t> blocks;
    for (int64_t t = 0; t < tokens; ++t)
      blocks.push_back(*cache.slot(SequenceId{id}, t) / static_cast<int32_t>(c.blockSize));
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      const auto &keys = history[id].keys[layer], &values = history[id].values[layer];
      auto keyCount = static_cast<int64_t>(keys.size());
      auto valueCount = static_cast<int64_t>(values.size());
      TensorBytes storedKeys(c.storage, keyCount), storedValues(c.storage, valueCount);
      ASSERT_TRUE(cache
                      .lookupKV(blocks.data(), &tokens, 1, storedKeys.writable(),
                                storedValues.writable(), layer)
                      .isOk());
      for (int64_t i = 0; i < keyCount; ++i)
        ASSERT_EQ(storedKeys.at(i), keys[static_cast<size_t>(i)]);
      for (int64_t i = 0; i < valueCount; ++i)
        ASSERT_EQ(storedValues.at(i), values[static_cast<size_t>(i)]);
    }
  }
}

TEST_P(PagedAttentionTest, AttendsOverRaggedBatches) {
  const std::vector<int32_t> ids = {3, 0, 2, 4, 1};
  const std::vector<std::vector<int32_t>> batches = {
      {1, 1, 1, 1, 1}, {64, 1, 0, 33, 17}, {0, 0, 40, 0, 0}, {3, 0, 300, 2, 5}, {0, 0, 0, 0, 0}};
  for (const std::vector<int32_t> &counts : batches)
    for (int64_t layer = 0; layer < kLayers; ++layer) {
      int64_t tokens = 0;
      for (int32_t count : counts)
        tokens += count;
      TensorBytes query = randomQuery(tokens);
      TensorBytes output = runRagged(query, ids, counts, layer);
      int64_t first = 0;
      for (size_t s = 0; s < ids.size(); ++s) {
        compareRows(query, output, first, counts[s], ids[s], layer);
        first += counts[s];
      }
    }
}

TEST_P(PagedAttentionTest, AttendsOverPaddedBatches) {
  const std::vector<int32_t> ids = {4, 1, 2, 3};
  auto batch = static_cast<int64_t>(ids.size());
  std::vector<int32_t> lengths;
  for (int32_t id : ids)
    lengths.push_back(static_cast<int32_t>(lengthOf(id)));
  for (int64_t tokens : {1, 6, 17}) {
    TensorBytes query = randomQuery(batch * tokens);
    MemRef<4> q = describe<4>(query.data(), {batch, tokens, c.heads, c.headDim}), result;
    MemRef<1> s = describe(ids), l = describe(lengths);
    c.padded(&result, &q, cache.handle(), &s, &l, 1);
    ASSERT_EQ(result.sizes, (std::array<int64_t, 4>{batch, tokens, c.heads, c.headDim}));
    ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
    TensorBytes output(c.query, result);
    for (int64_t b = 0; b < batch; ++b)
      compareRows(query, output, b * tokens, tokens, ids[static_cast<size_t>(b)], 1);
  }
}

// A row's bytes do not depend on the rows beside it: a chunk of all tokens of a sequence, the same
// tokens one at a time and in chunks of five, while the sequence grows, and in a batch.
TEST_P(PagedAttentionTest, GivesTheSameBytesForAnyChunk) {
  constexpr int64_t tokens = 83;
  const std::vector<int32_t> other = {2, 3};
  ASSERT_TRUE(cache.freeSequence(SequenceId{4}).isOk());
  history[4] = {};
  append({4}, tokens);
  TensorBytes query = randomQuery(tokens);
  int64_t cols = c.heads * c.headDim;
  TensorBytes whole = runRagged(query, {4}, {tokens}, 0);

  for (int64_t chunk : {1, 5, 12}) {
    for (int64_t first = 0; first < tokens; first += chunk) {
      int64_t count = std::min(chunk, tokens - first);
      // The context ends with the chunk, between two sequences with tokens of their own.
      std::vector<int32_t> ids = {2, 4, 3}, cu = {0, 1, static_cast<int32_t>(1 + count),
                                                  static_cast<int32_t>(1 + count + 3)};
      std::vector<int32_t> lengths = {static_cast<int32_t>(lengthOf(2)),
                                      static_cast<int32_t>(first + count),
                                      static_cast<int32_t>(lengthOf(3))};
      TensorBytes batch = randomQuery(cu.back());
      std::copy_n(query.data() + first * cols * query.elementSize(),
                  count * cols * query.elementSize(),
                  batch.writable() + cols * query.elementSize());
      MemRef<3> q = describe<3>(batch.data(), {cu.back(), c.heads, c.headDim}), result;
      MemRef<1> s = describe(ids), l = describe(lengths), u = describe(cu);
      c.ragged(&result, &q, cache.handle(), &s, &l, &u, 0);
      TensorBytes output(c.query, result);
      ASSERT_EQ(output.slice(cols, count * cols), whole.slice(first * cols, count * cols))
          << "tokens " << first << " to " << first + count - 1 << " in chunks of " << chunk;
    }
  }
}

TEST_P(PagedAttentionTest, SkipsNegativeSlots) {
  std::vector<uint8_t> before = poolBytes(cache);
  TensorBytes keys = randomTensor(c.query, 3 * c.kvHeads * c.headDim, random);
  TensorBytes values = randomTensor(c.query, 3 * c.kvHeads * c.headDim, random);
  std::vector<int32_t> slots = {-1, -7, -1};
  MemRef<3> k = describe<3>(keys.data(), {3, c.kvHeads, c.headDim});
  MemRef<3> v = describe<3>(values.data(), {3, c.kvHeads, c.headDim});
  MemRef<1> s = describe(slots);
  c.store(cache.handle(), &k, &v, &s, 1);
  EXPECT_TRUE(cache.status().isOk());
  EXPECT_EQ(poolBytes(cache), before);
}

INSTANTIATE_TEST_SUITE_P(Grid, PagedAttentionTest, ::testing::ValuesIn(kCases), nameOf);
