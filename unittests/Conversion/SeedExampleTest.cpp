// The seed's example (examples/kv_cache.mlir), compiled and run: what it stores is what the cache
// gives back, and what it computes is what the naive kernels compute from all tokens so far.

#include "CompiledFunctions.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <map>
#include <numeric>

using namespace llmir;
using namespace llmir::testing;

namespace {
/// The results of `attend`, in the order of its type.
struct AttendResults {
  MemRef<4> output;
  llmir_rt_cache *cache;
};
} // namespace

extern "C" void _mlir_ciface_attend(AttendResults *results, llmir_rt_cache *cache, MemRef<4> *keys,
                                    MemRef<4> *values, MemRef<1> *sequences, MemRef<4> *query,
                                    MemRef<1> *lengths);

namespace {
constexpr int64_t kLayers = 12, kHeads = 16, kHeadDim = 64, kBlockSize = 16, kMaxSeqLen = 4096;
constexpr int64_t kBatch = 2, kFeatures = kHeads * kHeadDim;
/// Largest difference from the naive kernels, relative to the largest |value|: the output is f16.
constexpr double kTolerance = 6e-4;

/// Appends to two sequences at a time and remembers everything that was appended.
class SeedExampleTest : public ::testing::Test {
protected:
  struct History {
    std::vector<double> keys, values;
  };

  static PagedKVCache makeCache(int64_t blocks, int64_t blockSize = kBlockSize) {
    return PagedKVCache(kLayers, kHeads, kHeadDim, blockSize, kMaxSeqLen, ElementType::F16, blocks);
  }

  /// Hands out every block and takes them back in a random order.
  void scrambleFreeBlocks(PagedKVCache &cache, int64_t blocks) {
    CacheStepTables tables;
    std::vector<int32_t> ids(static_cast<size_t>(blocks));
    std::iota(ids.begin(), ids.end(), 1000);
    for (int32_t id : ids) {
      AppendRequest request{SequenceId{id}, kBlockSize};
      ASSERT_TRUE(cache.reserve({&request, 1}, tables).isOk());
    }
    std::shuffle(ids.begin(), ids.end(), random);
    for (int32_t id : ids)
      ASSERT_TRUE(cache.freeSequence(SequenceId{id}).isOk());
  }

  /// One call: a token for each of two sequences. Returns the output's numbers.
  TensorBytes attend(PagedKVCache &cache, const std::vector<int32_t> &ids) {
    keys = randomTensor(ElementType::F16, kBatch * kFeatures, random);
    values = randomTensor(ElementType::F16, kBatch * kFeatures, random);
    query = randomTensor(ElementType::F16, kBatch * kFeatures, random);
    std::vector<int32_t> lengths;
    for (int32_t id : ids)
      lengths.push_back(static_cast<int32_t>(history[id].keys.size()) / kFeatures + 1);
    constexpr std::array<int64_t, 4> shape = {kBatch, 1, kHeads, kHeadDim};
    MemRef<4> k = describe<4>(keys.data(), shape), v = describe<4>(values.data(), shape);
    MemRef<4> q = describe<4>(query.data(), shape);
    MemRef<1> s = describe(ids), l = describe(lengths);
    AttendResults results;
    _mlir_ciface_attend(&results, cache.handle(), &k, &v, &s, &q, &l);
    EXPECT_EQ(results.cache, cache.handle());
    EXPECT_EQ(results.output.sizes, shape);
    return TensorBytes(ElementType::F16, results.output);
  }

  /// One call that has to work, compared with the naive kernel over the whole history.
  void attendAndCompare(PagedKVCache &cache, const std::vector<int32_t> &ids) {
    TensorBytes output = attend(cache, ids);
    ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
    for (int64_t b = 0; b < kBatch; ++b) {
      History &past = history[ids[b]];
      reference::Matrix row(1, kFeatures), actual(1, kFeatures);
      for (int64_t i = 0; i < kFeatures; ++i) {
        past.keys.push_back(keys.at(b * kFeatures + i));
        past.values.push_back(values.at(b * kFeatures + i));
        row.at(0, i) = query.at(b * kFeatures + i);
        actual.at(0, i) = output.at(b * kFeatures + i);
      }
      auto tokens = static_cast<int64_t>(past.keys.size()) / kFeatures;
      reference::Matrix expected =
          reference::attention(row, reference::Matrix(tokens, kFeatures, past.keys),
                               reference::Matrix(tokens, kFeatures, past.values),
                               {kHeads, kHeads, kHeadDim, kHeadDim, 0.125});
      double largest = 0;
      for (double value : past.values)
        largest = std::max(largest, std::abs(value));
      ASSERT_LE(reference::largestDifference(actual, expected), kTolerance * largest)
          << "sequence " << ids[b] << " of " << tokens << " tokens";
    }
  }

  /// What a lookup gives of layer 0 is, bit for bit, what was appended.
  void compareStored(PagedKVCache &cache, int32_t id) {
    const History &past = history[id];
    auto tokens = static_cast<int64_t>(past.keys.size()) / kFeatures;
    std::vector<int32_t> blocks;
    for (int64_t t = 0; t < tokens; ++t)
      blocks.push_back(*cache.slot(SequenceId{id}, t) / kBlockSize);
    auto count = static_cast<int32_t>(tokens);
    std::vector<uint16_t> storedKeys(past.keys.size()), storedValues(past.values.size());
    ASSERT_TRUE(
        cache.lookupKV(blocks.data(), &count, 1, storedKeys.data(), storedValues.data(), 0).isOk());
    for (size_t i = 0; i < past.keys.size(); ++i) {
      ASSERT_EQ(halfToFloat(storedKeys[i]), past.keys[i]) << "key " << i;
      ASSERT_EQ(halfToFloat(storedValues[i]), past.values[i]) << "value " << i;
    }
  }

  std::mt19937 random{3};
  std::map<int32_t, History> history;
  TensorBytes keys{ElementType::F16, 0}, values{ElementType::F16, 0}, query{ElementType::F16, 0};
};
} // namespace

TEST_F(SeedExampleTest, AttendsOverScatteredBlocks) {
  constexpr int64_t blocks = 24;
  PagedKVCache cache = makeCache(blocks);
  scrambleFreeBlocks(cache, blocks);
  // Four sequences in changing pairs, so that their blocks interleave and cross block boundaries.
  const std::vector<std::vector<int32_t>> pairs = {{7, 2}, {0, 5}, {2, 0}, {5, 7}, {7, 0}};
  for (int step = 0; step < 90; ++step)
    attendAndCompare(cache, pairs[static_cast<size_t>(step) % pairs.size()]);
  for (int32_t id : {0, 2, 5, 7}) {
    std::span<const BlockId> table = *cache.blocks(SequenceId{id});
    EXPECT_GE(table.size(), 3u);
    compareStored(cache, id);
  }
}

TEST_F(SeedExampleTest, ReusesFreedBlocks) {
  PagedKVCache cache = makeCache(8);
  scrambleFreeBlocks(cache, 8);
  for (int step = 0; step < 18; ++step) {
    attendAndCompare(cache, {1, 2});
    attendAndCompare(cache, {3, 4});
  }
  for (int32_t id : {4, 1}) {
    ASSERT_TRUE(cache.freeSequence(SequenceId{id}).isOk());
    history.erase(id);
  }
  for (int step = 0; step < 18; ++step)
    attendAndCompare(cache, {4, 1});
  for (int32_t id : {1, 2, 3, 4})
    compareStored(cache, id);
}

TEST_F(SeedExampleTest, LeavesOtherLayersAndBlocksAlone) {
  PagedKVCache cache = makeCache(4);
  std::fill_n(cache.base(), cache.sizeInBytes(), uint8_t{0x5a});
  attendAndCompare(cache, {1, 2});
  const llmir_cache_layout &layout = cache.layout();
  auto block = [&](int32_t id) { return *cache.slot(SequenceId{id}, 0) / kBlockSize; };
  size_t changed = 0;
  for (size_t i = 0; i < cache.sizeInBytes(); ++i) {
    if (cache.base()[i] == 0x5a)
      continue;
    ++changed;
    auto at = static_cast<int64_t>(i);
    ASSERT_THAT(at / layout.block_stride, ::testing::AnyOf(block(1), block(2)));
    ASSERT_EQ(at % layout.block_stride / layout.layer_stride, 0);
  }
  EXPECT_GT(changed, 0u);
  EXPECT_LE(changed, static_cast<size_t>(kBatch * kFeatures * 2 * 2));
}

TEST_F(SeedExampleTest, ReportsAFullPool) {
  PagedKVCache cache = makeCache(2);
  for (int step = 0; step < kBlockSize; ++step)
    attendAndCompare(cache, {1, 2});
  std::vector<uint8_t> before = poolBytes(cache);
  TensorBytes output = attend(cache, {1, 2});
  EXPECT_EQ(cache.status().code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(cache.status().message(),
            "llmir_rt_cache_append: block pool exhausted: need 2 blocks, 0 free of 2");
  EXPECT_EQ(poolBytes(cache), before);
  for (int64_t i = 0; i < kBatch * kFeatures; ++i)
    ASSERT_EQ(output.at(i), 0) << "a result without a cache is zero";
  // The failure stays.
  attend(cache, {1, 2});
  EXPECT_EQ(cache.status().code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(poolBytes(cache), before);
}

TEST_F(SeedExampleTest, RefusesACacheOfAnotherBlockSize) {
  PagedKVCache cache = makeCache(4, 32);
  std::vector<uint8_t> before = poolBytes(cache);
  TensorBytes output = attend(cache, {1, 2});
  EXPECT_EQ(cache.status().code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(cache.status().message(),
            "llmir_rt_cache_base: expected a cache with 'block_size' 16, but it has 32");
  EXPECT_EQ(poolBytes(cache), before);
  for (int64_t i = 0; i < kBatch * kFeatures; ++i)
    ASSERT_EQ(output.at(i), 0) << "a result without a cache is zero";
}
