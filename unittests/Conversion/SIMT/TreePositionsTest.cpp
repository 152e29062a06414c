// Attention of trees of drafts, which stand at positions that are not their
// places in the cache: window, sinks and ALiBi go by positions. The oracle is
// the definition, in double precision.

#include "../CompiledFunctions.h"

#include <gtest/gtest.h>

#include <cmath>

using namespace llmir;
using namespace llmir::testing;

extern "C" {
llmir_rt_cache *_mlir_ciface_tree_store(llmir_rt_cache *, MemRef<3> *, MemRef<3> *, MemRef<1> *);
void _mlir_ciface_tree_attend(MemRef<3> *, MemRef<3> *, llmir_rt_cache *, MemRef<2> *, MemRef<1> *,
                              MemRef<1> *, MemRef<1> *, MemRef<1> *);
}

namespace {
constexpr int64_t kHeads = 4, kKVHeads = 2, kDim = 16, kWindow = 20, kSinks = 3;
constexpr double kSlopes[] = {0.5, 0.25, 0.125, 0.0625};

/// The tokens of one sequence's step: a random tree, each token's ancestors
/// before it.
struct Tree {
  std::vector<uint64_t> masks;
  std::vector<int32_t> positions;
};

Tree makeTree(int32_t begin, int32_t tokens, std::mt19937 &random) {
  Tree tree;
  for (int32_t i = 0; i < tokens; ++i) {
    // -1: a child of the context's last token.
    int32_t parent = int32_t(random() % uint32_t(i + 1)) - 1;
    uint64_t ancestors = parent < 0 ? 0 : tree.masks[size_t(parent)];
    tree.masks.push_back(ancestors | uint64_t(1) << i);
    tree.positions.push_back(parent < 0 ? begin : tree.positions[size_t(parent)] + 1);
  }
  return tree;
}

class TreePositionsTest : public ::testing::TestWithParam<std::vector<int32_t>> {};
} // namespace

TEST_P(TreePositionsTest, EqualsTheDefinition) {
  // This step's tokens of each sequence; contexts of one partition, several
  // splits, and no more than the step itself.
  const std::vector<int32_t> counts = GetParam(), lengths = {60, 301, counts[2]};
  CacheParameters parameters;
  parameters.keyType = parameters.valueType = ElementType::F32;
  parameters.numLayers = 1;
  parameters.numKVHeads = kKVHeads;
  parameters.keyHeadDim = parameters.valueHeadDim = kDim;
  parameters.blockSize = 4;
  parameters.maxSeqLen = 2048;
  parameters.window = kWindow;
  parameters.numSinks = kSinks;
  PagedKVCache cache(parameters, ElementType::F32, 110);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  cache.shuffleFreeBlocks(9);
  std::vector<AppendRequest> requests;
  for (size_t s = 0; s < lengths.size(); ++s)
    requests.push_back({SequenceId{static_cast<int32_t>(s)}, lengths[s]});
  CacheStepTables tables;
  ASSERT_TRUE(cache.reserve(requests, tables).isOk());
  auto stored = static_cast<int64_t>(tables.slots.size());
  std::mt19937 random{13};
  TensorBytes keys = randomTensor(ElementType::F32, stored * kKVHeads * kDim, random);
  TensorBytes values = randomTensor(ElementType::F32, stored * kKVHeads * kDim, random);
  MemRef<3> k = describe<3>(keys.data(), {stored, kKVHeads, kDim});
  MemRef<3> v = describe<3>(values.data(), {stored, kKVHeads, kDim});
  MemRef<1> slots = describe(tables.slots);
  _mlir_ciface_tree_store(cache.handle(), &k, &v, &slots);

  std::vector<int32_t> cu = {0}, positions;
  std::vector<uint64_t> masks;
  for (size_t s = 0; s < counts.size(); ++s) {
    Tree tree = makeTree(lengths[s] - counts[s], counts[s], random);
    masks.insert(masks.end(), tree.masks.begin(), tree.masks.end());
    positions.insert(positions.end(), tree.positions.begin(), tree.positions.end());
    cu.push_back(cu.back() + counts[s]);
  }
  TensorBytes query = randomTensor(ElementType::F32, cu.back() * kHeads * kDim, random);
  MemRef<3> q = describe<3>(query.data(), {cu.back(), kHeads, kDim}), result;
  MemRef<2> table = describe<2>(tables.table.data(), {3, tables.tableStride});
  MemRef<1> contexts = describe(lengths), cumulative = describe(cu), at = describe(positions);
  MemRef<1> mask = describe<1>(masks.data(), {cu.back()});
  _mlir_ciface_tree_attend(&result, &q, cache.handle(), &table, &contexts, &cumulative, &mask, &at);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  TensorBytes output(ElementType::F32, result);

  int64_t firstKey = 0;
  for (size_t s = 0; s < counts.size(); firstKey += lengths[s++]) {
    int64_t begin = lengths[s] - counts[s];
    for (int64_t i = 0; i < counts[s]; ++i) {
      int64_t token = cu[s] + i, position = positions[size_t(token)];
      for (int64_t head = 0; head < kHeads; ++head) {
        double total = 0;
        std::vector<double> sums(kDim);
        for (int64_t j = 0; j <= begin + i; ++j) {
          bool isNew = j >= begin;
          if (isNew && (masks[size_t(token)] >> (j - begin) & 1) == 0)
            continue;
          int64_t keyPosition = isNew ? positions[size_t(cu[s] + j - begin)] : j;
          if (keyPosition <= position - kWindow && keyPosition >= kSinks)
            continue;
          int64_t row = ((firstKey + j) * kKVHeads + head / (kHeads / kKVHeads)) * kDim;
          double score = 0;
          for (int64_t d = 0; d < kDim; ++d)
            score += query.at((token * kHeads + head) * kDim + d) * keys.at(row + d);
          double weight = std::exp(score * 0.25 + kSlopes[head] * double(keyPosition - position));
          total += weight;
          for (int64_t d = 0; d < kDim; ++d)
            sums[size_t(d)] += weight * values.at(row + d);
        }
        for (int64_t d = 0; d < kDim; ++d)
          // A token that sees no key gets zeros.
          ASSERT_NEAR(output.at((token * kHeads + head) * kDim + d),
                      total > 0 ? sums[size_t(d)] / total : 0, 2e-5)
              << "sequence " << s << ", token " << i << ", head " << head;
      }
    }
  }
}

// One token each (decoding), trees, and a sequence without tokens.
INSTANTIATE_TEST_SUITE_P(Counts, TreePositionsTest,
                         ::testing::Values(std::vector<int32_t>{1, 1, 1},
                                           std::vector<int32_t>{12, 33, 7},
                                           std::vector<int32_t>{64, 0, 5}));
