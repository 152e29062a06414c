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
