// Compiled functions that make, read and end caches, against the storage rule element by element.

#include "CompiledFunctions.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <numeric>
#include <random>

using namespace llmir;
using namespace llmir::testing;

namespace {
struct KeysAndValues {
  MemRef<4> keys, values;
};
} // namespace

extern "C" {
llmir_rt_cache *_mlir_ciface_make(int64_t blocks);
llmir_rt_cache *_mlir_ciface_make16(int64_t blocks);
llmir_rt_cache *_mlir_ciface_make8(int64_t blocks);
llmir_rt_cache *_mlir_ciface_makef8(int64_t blocks);
llmir_rt_cache *_mlir_ciface_appendf8(llmir_rt_cache *cache, MemRef<4> *keys, MemRef<4> *values,
                                      MemRef<1> *sequences);
void _mlir_ciface_end(llmir_rt_cache *cache);
void _mlir_ciface_read(KeysAndValues *results, llmir_rt_cache *cache, MemRef<2> *table,
                       MemRef<1> *lengths, int64_t layer);
void _mlir_ciface_read16(KeysAndValues *results, llmir_rt_cache *cache, MemRef<2> *table,
                         MemRef<1> *lengths, int64_t times);
void _mlir_ciface_read8(KeysAndValues *results, llmir_rt_cache *cache, MemRef<2> *table,
                        MemRef<1> *lengths);
void _mlir_ciface_life(KeysAndValues *results, int64_t blocks, MemRef<4> *keys, MemRef<4> *values,
                       MemRef<1> *sequences, MemRef<1> *lengths);
}

namespace {

struct FreeCache {
  void operator()(llmir_rt_cache *cache) const { llmir_rt_cache_free(cache); }
};
using OwnedCache = std::unique_ptr<llmir_rt_cache, FreeCache>;

/// A cache with tokens of random numbers, a longest one first and an empty one last.
class FilledCache {
public:
  FilledCache(llmir_rt_cache *handle, std::vector<int32_t> lengths)
      : owner(handle), cache(*PagedKVCache::fromHandle(handle)), lengths(std::move(lengths)) {
    EXPECT_TRUE(cache.status().isOk()) << cache.status().message();
    cache.shuffleFreeBlocks(7);
    const llmir_cache_layout &layout = cache.layout();
    std::mt19937 random(3);
    for (size_t s = 0; s < this->lengths.size(); ++s) {
      auto id = static_cast<int32_t>(s);
      int64_t rows = layout.num_layers * this->lengths[s] * layout.num_kv_heads;
      TensorBytes keys = randomTensor(cache.keyElementType(), rows * layout.key_head_dim, random);
      TensorBytes values =
          randomTensor(cache.valueElementType(), rows * layout.value_head_dim, random);
      EXPECT_TRUE(
          cache.appendKV(keys.data(), values.data(), 1, this->lengths[s], &id, nullptr).isOk());
    }
    columns = layout.max_seq_len / layout.block_size;
    table.resize(this->lengths.size() * static_cast<size_t>(columns));
    for (size_t s = 0; s < this->lengths.size(); ++s)
      EXPECT_TRUE(cache
                      .copyBlockTable(SequenceId{static_cast<int32_t>(s)},
                                      {table.data() + s * static_cast<size_t>(columns),
                                       static_cast<size_t>(columns)})
                      .isOk());
  }

  MemRef<2> describeTable() const {
    return describe<2>(table.data(), {static_cast<int64_t>(lengths.size()), columns});
  }

  /// Every element of a lookup of the first `read[s]` tokens of each sequence, exactly.
  void expectEqual(const KeysAndValues &results, const std::vector<int32_t> &read, int64_t tokens,
                   int64_t layer) const {
    const llmir_cache_layout &layout = cache.layout();
    auto sequences = static_cast<int64_t>(lengths.size());
    ASSERT_EQ(results.keys.sizes, (std::array<int64_t, 4>{sequences, tokens, layout.num_kv_heads,
                                                          layout.key_head_dim}));
    ASSERT_EQ(results.values.sizes, (std::array<int64_t, 4>{sequences, tokens, layout.num_kv_heads,
                                                            layout.value_head_dim}));
    TensorBytes keys(cache.keyElementType(), results.keys);
    TensorBytes values(cache.valueElementType(), results.values);
    for (int64_t s = 0; s < sequences; ++s)
      for (int64_t token = 0; token < tokens; ++token)
        for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
          int64_t row = (s * tokens + token) * layout.num_kv_heads + head;
          bool isThere = token < read[static_cast<size_t>(s)];
          int64_t slot = isThere ? slotOf(s, token) : 0;
          for (int64_t c = 0; c < layout.key_head_dim; ++c)
            ASSERT_EQ(keys.at(row * layout.key_head_dim + c),
                      isThere ? reference::readKey(layout, cache.base(), layer, slot, head, c) : 0)
                << "sequence " << s << " token " << token << " head " << head << " channel " << c;
          for (int64_t c = 0; c < layout.value_head_dim; ++c)
            ASSERT_EQ(values.at(row * layout.value_head_dim + c),
                      isThere ? reference::readValue(layout, cache.base(), layer, slot, head, c)
                              : 0)
                << "sequence " << s << " token " << token << " head " << head << " channel " << c;
        }
  }

  OwnedCache owner;
  PagedKVCache &cache;
  std::vector<int32_t> lengths, table;
  int64_t columns = 0;

private:
  int64_t slotOf(int64_t sequence, int64_t token) const {
    int64_t size = cache.layout().block_size;
    return table[static_cast<size_t>(sequence * columns + token / size)] * size + token % size;
  }
};

} // namespace

TEST(CacheValueTest, MakesEmptyCachesOfTheType) {
  OwnedCache made(_mlir_ciface_make(9));
  PagedKVCache &cache = *PagedKVCache::fromHandle(made.get());
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  EXPECT_EQ(cache.layout().num_layers, 2);
  EXPECT_EQ(cache.layout().num_kv_heads, 3);
  EXPECT_EQ(cache.layout().key_head_dim, 20);
  EXPECT_EQ(cache.pool().numBlocks(), 9);
  EXPECT_EQ(cache.numSequences(), 0u);
  EXPECT_EQ(cache.keyElementType(), ElementType::F32);
}

TEST(CacheValueTest, ReadsAsManyRowsAsTheLongestHas) {
  FilledCache filled(_mlir_ciface_make(64), {13, 1, 4, 0, 64});
  for (int64_t layer : {0, 1}) {
    MemRef<2> table = filled.describeTable();
    MemRef<1> lengths = describe(filled.lengths);
    KeysAndValues results;
    _mlir_ciface_read(&results, filled.cache.handle(), &table, &lengths, layer);
    filled.expectEqual(results, filled.lengths, 64, layer);
  }
  const std::vector<int32_t> fewer = {5, 0, 4, 0, 2};
  MemRef<2> table = filled.describeTable();
  MemRef<1> lengths = describe(fewer);
  KeysAndValues results;
  _mlir_ciface_read(&results, filled.cache.handle(), &table, &lengths, 1);
  filled.expectEqual(results, fewer, 5, 1);
}

TEST(CacheValueTest, ReadsNothingOfNobody) {
  FilledCache filled(_mlir_ciface_make(4), {3});
  const std::vector<int32_t> none;
  MemRef<2> table = describe<2>(filled.table.data(), {0, filled.columns});
  MemRef<1> lengths = describe(none);
  KeysAndValues results;
  _mlir_ciface_read(&results, filled.cache.handle(), &table, &lengths, 0);
  EXPECT_EQ(results.keys.sizes[0], 0);
  EXPECT_EQ(results.keys.sizes[1], 0);
  std::free(results.keys.allocated);
  std::free(results.values.allocated);
  EXPECT_TRUE(filled.cache.status().isOk());
}

TEST(CacheValueTest, FillsRowsPastTheLengthsWithZero) {
  for (int64_t times : {0, 3}) {
    FilledCache filled(_mlir_ciface_make16(16), {17, 40});
    MemRef<2> table = filled.describeTable();
    MemRef<1> lengths = describe(filled.lengths);
    KeysAndValues results;
    _mlir_ciface_read16(&results, filled.cache.handle(), &table, &lengths, times);
    filled.expectEqual(results, filled.lengths, 40, 0);
  }
}

TEST(CacheValueTest, ReadsQuantisedCaches) {
  FilledCache filled(_mlir_ciface_make8(24), {9, 70, 7});
  MemRef<2> table = filled.describeTable();
  MemRef<1> lengths = describe(filled.lengths);
  KeysAndValues results;
  _mlir_ciface_read8(&results, filled.cache.handle(), &table, &lengths);
  filled.expectEqual(results, filled.lengths, 70, 1);
}

TEST(CacheValueTest, LivesWithinAFunction) {
  constexpr int64_t kTokens = 6, kCols = 60;
  std::mt19937 random(11);
  TensorBytes keys = randomTensor(ElementType::F32, 2 * kTokens * kCols, random);
  TensorBytes values = randomTensor(ElementType::F32, 2 * kTokens * kCols, random);
  const std::vector<int32_t> ids = {8, 2}, lengths = {kTokens, kTokens};
  MemRef<4> k = describe<4>(keys.data(), {2, kTokens, 3, 20});
  MemRef<4> v = describe<4>(values.data(), {2, kTokens, 3, 20});
  MemRef<1> s = describe(ids), l = describe(lengths);
  KeysAndValues results;
  _mlir_ciface_life(&results, 8, &k, &v, &s, &l);
  TensorBytes actualKeys(ElementType::F32, results.keys);
  TensorBytes actualValues(ElementType::F32, results.values);
  EXPECT_EQ(actualKeys.slice(0, 2 * kTokens * kCols), keys.slice(0, 2 * kTokens * kCols));
  EXPECT_EQ(actualValues.slice(0, 2 * kTokens * kCols), values.slice(0, 2 * kTokens * kCols));
}

TEST(CacheValueTest, EndsCaches) {
  // Under AddressSanitizer a cache that is not freed, or freed twice, is found.
  _mlir_ciface_end(_mlir_ciface_make(3));
  llmir_rt_cache_free(nullptr);
  EXPECT_EQ(llmir_rt_cache_create(nullptr, LLMIR_F16, 4), nullptr);
}

TEST(CacheValueTest, KeepsTheReasonOfAFailure) {
  FilledCache filled(_mlir_ciface_make(16), {5, 2});
  const std::vector<int32_t> tooLong = {5, 65};
  MemRef<2> table = filled.describeTable();
  MemRef<1> lengths = describe(tooLong);
  KeysAndValues results;
  _mlir_ciface_read(&results, filled.cache.handle(), &table, &lengths, 0);
  EXPECT_EQ(
      filled.cache.status().message(),
      "llmir_rt_cache_lookup: row 1: expected a length in 0..64, what the table and the result "
      "have room for, but got 65");
  TensorBytes keys(ElementType::F32, results.keys), values(ElementType::F32, results.values);
  for (int64_t i = 0; i < results.keys.elements(); ++i)
    ASSERT_EQ(keys.at(i), 0);
}

TEST(CacheValueTest, RefusesOtherCaches) {
  const std::vector<int32_t> table = {0}, lengths = {0};
  MemRef<2> t = describe<2>(table.data(), {1, 1});
  MemRef<1> l = describe(lengths);
  auto read = [&](PagedKVCache &cache) {
    KeysAndValues results;
    _mlir_ciface_read(&results, cache.handle(), &t, &l, 0);
    std::free(results.keys.allocated);
    std::free(results.values.allocated);
    return cache.status().message();
  };
  OwnedCache other(_mlir_ciface_make16(4));
  EXPECT_EQ(read(*PagedKVCache::fromHandle(other.get())),
            "llmir_rt_cache_lookup: expected a cache with 'key_type' f32, but it has f16");
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = ElementType::F32;
  parameters.numLayers = 2;
  parameters.numKVHeads = 3;
  parameters.keyHeadDim = parameters.valueHeadDim = 20;
  parameters.blockSize = 4;
  parameters.maxSeqLen = 64;
  PagedKVCache halves(parameters, ElementType::F16, 4);
  EXPECT_EQ(read(halves), "llmir_rt_cache_lookup: expected a cache whose arrays are in f32, but it "
                          "has f16");
}

/// Compiled code and the runtime store the same bytes of any number, and a NaN as the rule says.
TEST(CacheValueTest, StoresEightBitFloatsAsTheRuntimeDoes) {
  OwnedCache compiled(_mlir_ciface_makef8(16)), runtime(_mlir_ciface_makef8(16));
  PagedKVCache &ours = *PagedKVCache::fromHandle(compiled.get());
  PagedKVCache &theirs = *PagedKVCache::fromHandle(runtime.get());
  constexpr int64_t tokens = 50, heads = 2, dim = 8;
  std::mt19937 random(17);
  std::vector<float> keys(tokens * heads * dim);
  for (float &number : keys) // of any size
    number = std::bit_cast<float>(static_cast<uint32_t>(random()));
  keys[0] = std::numeric_limits<float>::quiet_NaN();
  keys[dim] = -std::numeric_limits<float>::quiet_NaN();
  keys[dim + 1] = std::numeric_limits<float>::infinity();
  std::vector<float> values = keys;
  std::vector<int32_t> ids = {1};
  MemRef<4> keyTensor = describe<4>(keys.data(), {1, tokens, heads, dim});
  MemRef<4> valueTensor = describe<4>(values.data(), {1, tokens, heads, dim});
  MemRef<1> sequences = describe(ids);
  _mlir_ciface_appendf8(ours.handle(), &keyTensor, &valueTensor, &sequences);
  ASSERT_TRUE(theirs.appendKV(keys.data(), values.data(), 1, tokens, ids.data(), nullptr).isOk());
  std::span<const BlockId> a = *ours.blocks(SequenceId{1}), b = *theirs.blocks(SequenceId{1});
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    std::span<uint8_t> found = *ours.blockBytes(a[i]), expected = *theirs.blockBytes(b[i]);
    ASSERT_TRUE(std::equal(found.begin(), found.end(), expected.begin(), expected.end()))
        << "block " << i;
  }
  const llmir_cache_layout &layout = ours.layout();
  const uint8_t *first = ours.blockBytes(a[0])->data(), *second = first + layout.head_stride;
  EXPECT_EQ(first[0], 0x7e);
  EXPECT_EQ(second[0], 0xfe);
  EXPECT_EQ(second[layout.key_channel_stride], 0x7b);
  EXPECT_EQ(first[layout.value_offset], 0x7f);
  EXPECT_EQ(second[layout.value_offset], 0xff);
  EXPECT_EQ(second[layout.value_offset + 1], 0x7e);
}
