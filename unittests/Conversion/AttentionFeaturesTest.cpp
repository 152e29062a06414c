// Compiled attention in every form: storage types and scales, unlike keys and values, windows and
// sinks, soft caps, ALiBi, learned sinks, tree masks, positions, blocks of 1 to 256 tokens; outputs
// are those of the naive attention over what was stored, the same bytes for any chunk.

#include "AttentionFeatures.h"

// Tokens that are cut into chunks; a program whose kernels run thread by thread takes fewer.
#ifndef LLMIR_CHUNKED_TOKENS
#define LLMIR_CHUNKED_TOKENS 70
#endif

using namespace llmir;
using namespace llmir::testing;

namespace {
class AttentionFeaturesTest : public AttentionFeatures {};
} // namespace

// Queries of all heads of many tokens take the naive attention long.
TEST_P(AttentionFeaturesTest, EqualsTheNaiveAttention) {
  std::vector<std::vector<int32_t>> batches = {
      {1, 1, 1, 1}, {0, 5, 12, 33}, {1, 60, 3, 0}, {0, 0, 0, 0}};
  if (c.heads * c.keyDim > 10000)
    batches = {{1, 1, 1, 1}, {0, 3, 0, 2}};
  for (const std::vector<int32_t> &counts : batches) {
    int64_t tokens = 0;
    for (int32_t count : counts)
      tokens += count;
    TensorBytes query = randomTensor(ElementType::F32, tokens * c.heads * c.keyDim, random);
    std::vector<uint64_t> tree = makeTree(counts);
    std::vector<int32_t> positions = makePositions(counts);
    TensorBytes output = attend(query, kLengths, counts, tree, positions);
    reference::Matrix rows = query.toMatrix(c.heads * c.keyDim);
    reference::Matrix actual = output.toMatrix(c.heads * c.valueDim);
    int64_t first = 0;
    for (size_t s = 0; s < counts.size(); first += counts[s++]) {
      reference::Matrix part(counts[s], rows.cols()), got(counts[s], actual.cols());
      for (int64_t i = 0; i < counts[s]; ++i) {
        std::ranges::copy(rows.row(first + i), part.row(i).begin());
        std::ranges::copy(actual.row(first + i), got.row(i).begin());
      }
      auto from = static_cast<size_t>(first), count = static_cast<size_t>(counts[s]);
      double difference = reference::largestDifference(
          got, expect(s, part, kLengths[s], std::span(tree).subspan(from, count),
                      std::span(positions).subspan(from, count)));
      EXPECT_LE(difference, arithmeticTolerance(c))
          << "sequence " << s << ", " << counts[s] << " tokens";
    }
  }
}

// One token at a time, in chunks and together: the same bytes.
TEST_P(AttentionFeaturesTest, GivesTheSameBytesForAnyChunk) {
  if (c.treeMask)
    GTEST_SKIP() << "a tree mask is about the tokens of one step";
  int32_t tokens = c.heads * c.keyDim > 10000 ? 10 : LLMIR_CHUNKED_TOKENS;
  int64_t cols = c.heads * c.keyDim, outCols = c.heads * c.valueDim;
  TensorBytes query = randomTensor(ElementType::F32, tokens * cols, random);
  auto placesFrom = [](int32_t first, int32_t count) {
    std::vector<int32_t> places;
    for (int32_t i = 0; i < count; ++i)
      places.push_back(first + i);
    return places;
  };
  TensorBytes whole =
      attend(query, kLengths, {0, 0, tokens, 0}, {}, placesFrom(kLengths[2] - tokens, tokens));
  for (int32_t chunk : {1, 4, 9}) {
    for (int32_t first = 0; first < tokens; first += chunk) {
      int32_t count = std::min(chunk, tokens - first);
      std::vector<int32_t> lengths = kLengths;
      lengths[2] = kLengths[2] - tokens + first + count;
      TensorBytes part(ElementType::F32, count * cols);
      std::copy_n(query.data() + first * cols * 4, count * cols * 4, part.writable());
      TensorBytes output = attend(part, lengths, {0, 0, count, 0}, {},
                                  placesFrom(kLengths[2] - tokens + first, count));
      ASSERT_EQ(output.slice(0, count * outCols), whole.slice(first * outCols, count * outCols))
          << "tokens " << first << " to " << first + count - 1 << " in chunks of " << chunk;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Grid, AttentionFeaturesTest, ::testing::ValuesIn(kFeatureCases), nameOf);
