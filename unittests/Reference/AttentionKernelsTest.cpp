// The naive attention: dense against numbers worked out by hand, paged against dense with a
// permuted block table and the blocks of four sequences interleaved.

#include "llmir/Reference/AttentionKernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace llmir::reference {
namespace {

using Values = std::vector<double>;

TEST(ReferenceAttentionKernelsTest, WeighsVisibleValuesBySoftmax) {
  AttentionShape shape{1, 1, 1, 1, 1.0};
  Matrix query(2, 1, Values{1, 1});
  Matrix keys(3, 1, Values{0, std::log(3.0), std::log(4.0)});
  Matrix values(3, 1, Values{8, 16, 24});
  // The first query sees weights 1/4, 3/4; the second 1/8, 3/8, 4/8.
  Matrix expected(2, 1, Values{14, 19});
  EXPECT_LT(largestDifference(attention(query, keys, values, shape), expected), 1e-14);
}

TEST(ReferenceAttentionKernelsTest, GroupsOfHeadsShareKeysAndValues) {
  AttentionShape shape{4, 2, 1, 2, 0.5};
  Matrix query(1, 4, Values{1, 2, 3, 4});
  Matrix keys(1, 2, Values{5, 6});
  Matrix values(1, 4, Values{1, 2, 3, 4});
  Matrix expected(1, 8, Values{1, 2, 1, 2, 3, 4, 3, 4});
  EXPECT_EQ(largestDifference(attention(query, keys, values, shape), expected), 0.0);
}

/// One head of size 1 whose scores are the keys' logarithms, so that weights are the numbers given:
/// a query of 1s at the last positions.
Matrix attendTo(const Values &weights, const Values &values, int64_t queries,
                const AttentionOptions &options) {
  Values logarithms;
  for (double weight : weights)
    logarithms.push_back(std::log(weight));
  auto count = static_cast<int64_t>(weights.size());
  return attention(Matrix(queries, 1, Values(static_cast<size_t>(queries), 1.0)),
                   Matrix(count, 1, logarithms), Matrix(count, 1, values), {1, 1, 1, 1, 1.0},
                   options);
}

void expectRows(const Matrix &actual, const Values &expected) {
  ASSERT_EQ(actual.rows(), static_cast<int64_t>(expected.size()));
  for (int64_t i = 0; i < actual.rows(); ++i)
    EXPECT_NEAR(actual.at(i, 0), expected[static_cast<size_t>(i)], 1e-13) << "row " << i;
}

TEST(ReferenceAttentionKernelsTest, SeesLaterKeysWhenNotCausal) {
  AttentionOptions options;
  options.causal = false;
  // 1/4, 3/4 of 8 and 16 for both queries.
  expectRows(attendTo({1, 3}, {8, 16}, 2, options), {14, 14});
}

TEST(ReferenceAttentionKernelsTest, LeavesAWindowAndSinks) {
  AttentionOptions options;
  options.window = 2;
  expectRows(attendTo({1, 2, 2, 1}, {9, 10, 30, 60}, 2, options), {20, 40});
  options.numSinks = 1;
  // (9 + 2 * 10 + 2 * 30) / 5 and (9 + 2 * 30 + 60) / 4.
  expectRows(attendTo({1, 2, 2, 1}, {9, 10, 30, 60}, 2, options), {17.8, 32.25});
}

TEST(ReferenceAttentionKernelsTest, CapsScores) {
  AttentionOptions options;
  options.softCap = 1.0;
  // tanh(log 3) = (3 - 1/3) / (3 + 1/3) = 0.8, tanh(log 1) = 0.
  double weight = std::exp(0.8);
  expectRows(attendTo({1, 3}, {0, 1}, 1, options), {weight / (1 + weight)});
}

TEST(ReferenceAttentionKernelsTest, PenalisesDistanceAndCountsSinks) {
  AttentionOptions options;
  const float slopes[] = {float(std::log(2.0))};
  options.alibiSlopes = slopes;
  // Weights 4 / 4, 2 / 2 and 1.
  Matrix output = attendTo({4, 2, 1}, {3, 6, 9}, 1, options);
  EXPECT_NEAR(output.at(0, 0), 6.0, 1e-6);
  AttentionOptions sinks;
  const float logits[] = {0.0f};
  sinks.sinkLogits = logits; // One more weight of 1, without a value.
  expectRows(attendTo({1, 2}, {4, 8}, 1, sinks), {5});
}

TEST(ReferenceAttentionKernelsTest, AddsMasksAndGivesZerosWhereNothingIsSeen) {
  const float none = -INFINITY;
  AttentionOptions options;
  options.causal = false;
  const float mask[] = {0, none, 0, none, none, none};
  options.mask = {mask, 1};
  expectRows(attendTo({1, 5, 3}, {4, 100, 8}, 2, options), {7, 0});
  const float bias[] = {float(std::log(3.0)), 0, none, 0, 0, 0};
  options.mask = {bias, 1};
  EXPECT_NEAR(attendTo({1, 3, 4}, {4, 8, 100}, 2, options).at(0, 0), 6.0, 1e-6);
  // A mask of each head.
  AttentionShape shape{2, 1, 1, 1, 1.0};
  Matrix query(1, 2, Values{1, 1}), keys(2, 1, Values{0, 0}), values(2, 1, Values{1, 2});
  const float heads[] = {0, none, none, 0};
  options.mask = {heads, 2};
  Matrix expected(1, 2, Values{1, 2});
  EXPECT_EQ(largestDifference(attention(query, keys, values, shape, options), expected), 0.0);
}

TEST(ReferenceAttentionKernelsTest, GivesZerosToQueriesBeforeTheFirstKey) {
  // Two queries, one key: the first is at position -1.
  expectRows(attendTo({1}, {5}, 2, {}), {0, 5});
}

TEST(ReferenceAttentionKernelsTest, ReadsTreeMasks) {
  AttentionOptions options;
  const uint64_t trees[] = {0b01, 0b11, 0b101};
  options.treeMask = trees;
  expectRows(attendTo({1, 1, 1, 2}, {2, 4, 6, 9}, 3, options), {3, 4, 6});
}

/// Four sequences in one cache whose blocks are dealt out in a random order.
class PagedReferenceTest : public testing::TestWithParam<llmir_element_type> {
protected:
  static constexpr int64_t kSequences = 4;
  static constexpr int64_t kTableStride = 5;
  static constexpr int64_t kContexts[kSequences] = {17, 4, 9, 1};
  static constexpr int64_t kQueries[kSequences] = {3, 4, 1, 1};

  void SetUp() override {
    layout.key_type = GetParam();
    layout.value_type = GetParam();
    layout.num_layers = 2;
    layout.num_kv_heads = 2;
    layout.key_head_dim = 6;
    layout.value_head_dim = 5;
    layout.block_size = 4;
    layout.max_seq_len = 20;
    llmir_cache_layout_init(&layout);
    pool.assign(static_cast<size_t>(kSequences * kTableStride * layout.block_stride), 0xff);
    table.resize(kSequences * kTableStride);
    for (size_t i = 0; i < table.size(); ++i)
      table[i] = static_cast<int32_t>(i);
    std::shuffle(table.begin(), table.end(), random);
  }

  Matrix makeMatrix(int64_t rows, int64_t cols) {
    // Multiples of 1/8 up to 2: exact in every storage type.
    std::uniform_int_distribution<int> draw(-16, 16);
    Matrix matrix(rows, cols);
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t c = 0; c < cols; ++c)
        matrix.at(r, c) = draw(random) / 8.0;
    return matrix;
  }

  std::mt19937 random{7};
  llmir_cache_layout layout{};
  std::vector<uint8_t> pool;
  std::vector<int32_t> table;
};

TEST_P(PagedReferenceTest, EqualsDenseAttention) {
  std::vector<int32_t> cuLengths = {0}, contexts;
  std::vector<Matrix> keys, values;
  for (int64_t s = 0; s < kSequences; ++s) {
    cuLengths.push_back(cuLengths.back() + static_cast<int32_t>(kQueries[s]));
    contexts.push_back(static_cast<int32_t>(kContexts[s]));
    keys.push_back(makeMatrix(kContexts[s], 12));
    values.push_back(makeMatrix(kContexts[s], 10));
    std::vector<int32_t> slots;
    for (int32_t t = 0; t < kContexts[s]; ++t)
      slots.push_back(table[s * kTableStride + t / 4] * 4 + t % 4);
    storeKV(layout, pool.data(), 1, slots, keys[s], values[s]);
  }
  Matrix query = makeMatrix(cuLengths.back(), 4 * 6);
  RaggedBatch batch{cuLengths, contexts, table, kTableStride};
  Matrix output = pagedAttention(layout, pool.data(), 1, batch, query, 4, 0.25);

  for (int64_t s = 0; s < kSequences; ++s) {
    Matrix part(kQueries[s], query.cols());
    for (int64_t i = 0; i < kQueries[s]; ++i)
      std::ranges::copy(query.row(cuLengths[s] + i), part.row(i).begin());
    Matrix expected = attention(part, keys[s], values[s], {4, 2, 6, 5, 0.25});
    for (int64_t i = 0; i < kQueries[s]; ++i)
      EXPECT_TRUE(std::ranges::equal(output.row(cuLengths[s] + i), expected.row(i)));
  }
}

TEST_P(PagedReferenceTest, SkipsTokensWithoutSlot) {
  std::vector<uint8_t> before = pool;
  std::vector<int32_t> slots = {-1};
  storeKV(layout, pool.data(), 0, slots, makeMatrix(1, 12), makeMatrix(1, 10));
  EXPECT_EQ(pool, before);
}

INSTANTIATE_TEST_SUITE_P(Storage, PagedReferenceTest,
                         testing::Values(LLMIR_F32, LLMIR_F16, LLMIR_BF16));

} // namespace
} // namespace llmir::reference
