// Storing into and attending over a cache of pairs: bytes against the naive rule's, outputs against
// the naive attention over what was stored.

#include "../CompiledFunctions.h"

#include "llmir/Reference/CacheStorage.h"

#include <gtest/gtest.h>

using namespace llmir;
using namespace llmir::testing;

extern "C" {
llmir_rt_cache *_mlir_ciface_pairs_store(llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *);
void _mlir_ciface_pairs_attend(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<2> *, MemRef<1> *,
                               MemRef<1> *);
}

TEST(PairsCacheTest, EqualsTheNaiveKernels) {
  constexpr int64_t heads = 4, kvHeads = 2, dim = 12, layer = 1;
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = ElementType::BF16;
  parameters.numLayers = 2;
  parameters.numKVHeads = kvHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = dim;
  parameters.blockSize = 6;
  parameters.maxSeqLen = 2048;
  parameters.arrangement = CacheArrangement::Pairs;
  PagedKVCache cache(parameters, ElementType::F32, 60);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  cache.shuffleFreeBlocks(3);

  // One token, an odd number, several splits.
  const std::vector<int32_t> lengths = {1, 9, 300}, cu = {0, 1, 8, 20};
  std::vector<AppendRequest> requests;
  for (size_t s = 0; s < lengths.size(); ++s)
    requests.push_back({SequenceId{static_cast<int32_t>(s)}, lengths[s]});
  CacheStepTables tables;
  ASSERT_TRUE(cache.reserve(requests, tables).isOk());
  auto tokens = static_cast<int64_t>(tables.slots.size());
  std::mt19937 random{11};
  TensorBytes keys = randomTensor(ElementType::F32, tokens * kvHeads * dim, random);
  TensorBytes values = randomTensor(ElementType::F32, tokens * kvHeads * dim, random);
  std::vector<uint8_t> expectedBytes = poolBytes(cache);
  MemRef<3> k = describe<3>(keys.data(), {tokens, kvHeads, dim});
  MemRef<3> v = describe<3>(values.data(), {tokens, kvHeads, dim});
  MemRef<1> slots = describe(tables.slots);
  _mlir_ciface_pairs_store(cache.handle(), &k, &v, &slots);
  reference::Matrix keyRows = keys.toMatrix(kvHeads * dim),
                    valueRows = values.toMatrix(kvHeads * dim);
  for (int64_t t = 0; t < tokens; ++t)
    reference::storeToken(cache.layout(), expectedBytes.data(), layer,
                          tables.slots[static_cast<size_t>(t)], keyRows.row(t), valueRows.row(t));
  ASSERT_TRUE(poolBytes(cache) == expectedBytes) << "stored bytes differ from the naive rule's";

  TensorBytes query = randomTensor(ElementType::F32, cu.back() * heads * dim, random);
  MemRef<3> q = describe<3>(query.data(), {cu.back(), heads, dim}), result;
  MemRef<2> table = describe<2>(tables.table.data(), {3, tables.tableStride});
  MemRef<1> contexts = describe(lengths), cumulative = describe(cu);
  _mlir_ciface_pairs_attend(&result, &q, cache.handle(), &table, &contexts, &cumulative);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  reference::Matrix actual = TensorBytes(ElementType::F32, result).toMatrix(heads * dim);
  reference::Matrix queryRows = query.toMatrix(heads * dim);
  for (size_t s = 0; s < lengths.size(); ++s) {
    reference::Matrix stored[2] = {{lengths[s], kvHeads * dim}, {lengths[s], kvHeads * dim}};
    for (int64_t t = 0; t < lengths[s]; ++t)
      for (int64_t c = 0; c < kvHeads * dim; ++c) {
        int64_t block =
            tables.table[s * static_cast<size_t>(tables.tableStride) + static_cast<size_t>(t / 6)];
        int64_t slot = block * 6 + t % 6;
        stored[0].at(t, c) =
            reference::readKey(cache.layout(), cache.base(), layer, slot, c / dim, c % dim);
        stored[1].at(t, c) =
            reference::readValue(cache.layout(), cache.base(), layer, slot, c / dim, c % dim);
      }
    int64_t first = cu[s], count = cu[s + 1] - cu[s];
    reference::Matrix part(count, heads * dim), got(count, heads * dim);
    for (int64_t i = 0; i < count; ++i) {
      std::ranges::copy(queryRows.row(first + i), part.row(i).begin());
      std::ranges::copy(actual.row(first + i), got.row(i).begin());
    }
    reference::Matrix expected =
        reference::attention(part, stored[0], stored[1], {heads, kvHeads, dim, dim, 0.25});
    EXPECT_LE(reference::largestDifference(got, expected), 2e-5) << "sequence " << s;
  }
}
