// Batches of 64 sequences of no to 8,192 tokens through compiled attention.

#include "AttentionFeatures.h"

using namespace llmir;
using namespace llmir::testing;

namespace {
/// Many sequences of very different lengths.
class ManySequencesTest : public AttentionFeatures {
protected:
  void SetUp() override {
    std::vector<int32_t> lengths = {0, 1, 8192, 0, 127, 128, 129, 255, 256, 257, 4097};
    while (lengths.size() < 64)
      lengths.push_back(static_cast<int32_t>(random() % (lengths.size() % 4 == 0 ? 3000 : 300)));
    prepare(lengths);
  }
};
} // namespace

TEST_P(ManySequencesTest, EqualsTheNaiveAttention) {
  std::vector<int32_t> counts;
  int64_t tokens = 0;
  for (size_t s = 0; s < contexts.size(); ++s) {
    counts.push_back(std::min<int32_t>(contexts[s], s % 5 == 0 ? 3 : 1));
    tokens += counts.back();
  }
  TensorBytes query = randomTensor(ElementType::F32, tokens * c.heads * c.keyDim, random);
  std::vector<uint64_t> tree(static_cast<size_t>(tokens), 7);
  std::vector<int32_t> places;
  for (size_t s = 0; s < contexts.size(); ++s)
    for (int32_t i = 0; i < counts[s]; ++i)
      places.push_back(contexts[s] - counts[s] + i);
  reference::Matrix actual =
      attend(query, contexts, counts, tree, places).toMatrix(c.heads * c.valueDim);
  reference::Matrix rows = query.toMatrix(c.heads * c.keyDim);
  int64_t first = 0;
  for (size_t s = 0; s < contexts.size(); first += counts[s++]) {
    if (counts[s] == 0)
      continue;
    reference::Matrix part(counts[s], rows.cols()), got(counts[s], actual.cols());
    for (int64_t i = 0; i < counts[s]; ++i) {
      std::ranges::copy(rows.row(first + i), part.row(i).begin());
      std::ranges::copy(actual.row(first + i), got.row(i).begin());
    }
    auto from = static_cast<size_t>(first), count = static_cast<size_t>(counts[s]);
    double difference = reference::largestDifference(
        got, expect(s, part, contexts[s], std::span(tree).subspan(from, count),
                    std::span<const int32_t>(places).subspan(from, count)));
    EXPECT_LE(difference, arithmeticTolerance(c)) << "sequence " << s << " of " << contexts[s];
  }
}

/// f16 caches without a window, with one, and with sinks; others are slow to fill by the naive
/// rule.
static std::vector<FeatureCase> chooseCases() {
  std::vector<FeatureCase> chosen;
  for (const FeatureCase &one : kFeatureCases)
    if (std::string_view(one.keyType) == "f16" && std::string_view(one.valueType) == "f16" &&
        one.heads * one.keyDim <= 800 && one.blockSize == 16 && !one.alibi && !one.sinkLogits &&
        !one.treeMask && one.softCap == 0)
      chosen.push_back(one);
  return chosen;
}

INSTANTIATE_TEST_SUITE_P(Lengths, ManySequencesTest, ::testing::ValuesIn(chooseCases()), nameOf);
