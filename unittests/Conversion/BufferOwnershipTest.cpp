// Who frees what in compiled functions: the caller each result, once; nobody an argument. Under
// AddressSanitizer this finds leaks and double frees.

#include "CompiledFunctions.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

using namespace llmir;
using namespace llmir::testing;

namespace {
struct TwiceResults {
  MemRef<2> first, second;
  MemRef<1> argument;
};
} // namespace

extern "C" {
void _mlir_ciface_loop_over_layers(MemRef<4> *result, MemRef<4> *query, llmir_rt_cache *cache,
                                   MemRef<1> *sequences, MemRef<1> *lengths, int64_t layers);
void _mlir_ciface_return_twice(TwiceResults *results, llmir_rt_cache *cache, MemRef<1> *sequences);
void _mlir_ciface_choose(MemRef<2> *result, llmir_rt_cache *cache, MemRef<1> *sequences,
                         MemRef<1> *others, bool condition);
}

namespace {
constexpr int64_t kLayers = 3, kHeads = 2, kHeadDim = 8, kCols = kHeads * kHeadDim;
constexpr int64_t kBlockSize = 4, kMaxSeqLen = 64;

class BufferOwnershipTest : public ::testing::Test {
protected:
  void SetUp() override {
    for (auto *matrix : {&keys, &values}) {
      matrix->resize(kLayers * 2 * kTokens * kCols);
      std::iota(matrix->begin(), matrix->end(), 0.0f);
      for (float &value : *matrix)
        value = std::sin(value);
    }
    ASSERT_TRUE(cache.appendKV(keys.data(), values.data(), 2, kTokens, ids.data(), nullptr).isOk());
  }

  /// A table as the caller gets it, freed.
  static std::vector<int32_t> take(const MemRef<2> &table) {
    const auto *first = static_cast<const int32_t *>(table.aligned) + table.offset;
    std::vector<int32_t> numbers(first, first + table.elements());
    std::free(table.allocated);
    return numbers;
  }
  std::vector<int32_t> expectedTable(const std::vector<int32_t> &sequences) {
    std::vector<int32_t> table;
    for (int32_t id : sequences) {
      std::vector<int32_t> row(kMaxSeqLen / kBlockSize);
      EXPECT_TRUE(cache.copyBlockTable(SequenceId{id}, row).isOk());
      table.insert(table.end(), row.begin(), row.end());
    }
    return table;
  }

  static constexpr int64_t kTokens = 9;
  const std::vector<int32_t> ids = {4, 1};
  std::vector<float> keys, values;
  PagedKVCache cache{kLayers, kHeads, kHeadDim, kBlockSize, kMaxSeqLen, ElementType::F32, 8};
};
} // namespace

TEST_F(BufferOwnershipTest, LoopsOverLayers) {
  std::vector<float> query(2 * kCols, 0.25f);
  const std::vector<int32_t> lengths = {kTokens, kTokens};
  reference::Matrix expected(2, kCols, query);
  std::vector<int32_t> table = expectedTable(ids), cu = {0, 1, 2};
  for (int64_t layers = 0; layers <= kLayers; ++layers) {
    if (layers > 0)
      expected = reference::pagedAttention(cache.layout(), cache.base(), layers - 1,
                                           {cu, lengths, table, kMaxSeqLen / kBlockSize}, expected,
                                           kHeads, 1.0);
    MemRef<4> q = describe<4>(query.data(), {2, 1, kHeads, kHeadDim}), result;
    MemRef<1> s = describe(ids), l = describe(lengths);
    _mlir_ciface_loop_over_layers(&result, &q, cache.handle(), &s, &l, layers);
    ASSERT_NE(result.allocated, query.data());
    reference::Matrix actual = TensorBytes(ElementType::F32, result).toMatrix(kCols);
    EXPECT_LE(reference::largestDifference(actual, expected), 1e-5) << layers << " layers";
  }
}

TEST_F(BufferOwnershipTest, ReturnsEachBufferOnce) {
  MemRef<1> s = describe(ids);
  TwiceResults results;
  _mlir_ciface_return_twice(&results, cache.handle(), &s);
  EXPECT_NE(results.first.allocated, results.second.allocated);
  EXPECT_EQ(take(results.first), expectedTable(ids));
  EXPECT_EQ(take(results.second), expectedTable(ids));
  EXPECT_NE(results.argument.allocated, static_cast<const void *>(ids.data()));
  std::free(results.argument.allocated);
}

TEST_F(BufferOwnershipTest, ChoosesABranch) {
  const std::vector<int32_t> others = {1, 4};
  for (bool condition : {false, true}) {
    MemRef<1> s = describe(ids), o = describe(others);
    MemRef<2> result;
    _mlir_ciface_choose(&result, cache.handle(), &s, &o, condition);
    EXPECT_EQ(take(result), expectedTable(condition ? others : ids));
  }
}
