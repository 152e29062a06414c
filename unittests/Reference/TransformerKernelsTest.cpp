// The naive kernels against numbers worked out by hand.

#include "llmir/Reference/TransformerKernels.h"

#include <gtest/gtest.h>

#include <cmath>

namespace llmir::reference {
namespace {

using Values = std::vector<double>;

TEST(ReferenceTransformerKernelsTest, EmbeddingPicksRows) {
  Matrix table(3, 2, Values{0, 1, 10, 11, 20, 21});
  std::vector<int32_t> tokens = {2, 0};
  EXPECT_EQ(largestDifference(embedding(tokens, table), Matrix(2, 2, Values{20, 21, 0, 1})), 0.0);
}

TEST(ReferenceTransformerKernelsTest, NormDividesByRootOfMeanSquare) {
  Matrix input(1, 2, Values{3, 4}); // Mean of squares 12.5, and 3.5 more.
  Values weight = {4, 8};
  EXPECT_EQ(largestDifference(rmsNorm(input, weight, 3.5), Matrix(1, 2, Values{3, 8})), 0.0);
}

TEST(ReferenceTransformerKernelsTest, LinearContractsInputFeatures) {
  Matrix input(1, 3, Values{1, 2, 3});
  Matrix weight(2, 3, Values{1, 0, 1, -1, 1, 2});
  EXPECT_EQ(largestDifference(linear(input, weight), Matrix(1, 2, Values{4, 7})), 0.0);
  EXPECT_EQ(largestDifference(add(input, input), Matrix(1, 3, Values{2, 4, 6})), 0.0);
}

TEST(ReferenceTransformerKernelsTest, SwiGLUGatesBySigmoid) {
  Matrix gate(1, 2, Values{0, std::log(3.0)});
  Matrix up(1, 2, Values{5, 4});
  Matrix expected(1, 2, Values{0, 3.0 * std::log(3.0)});
  EXPECT_LT(largestDifference(swiglu(gate, up), expected), 1e-15);
}

TEST(ReferenceTransformerKernelsTest, RopeTurnsPairsInterleaved) {
  // Frequencies 1 and 1/100; position 0 keeps.
  Matrix input(2, 4, Values{1, 0, 1, 0, 1, 2, 3, 4});
  std::vector<int32_t> positions = {1, 0};
  Matrix output = rope(input, positions, {.headDim = 4, .rotaryDim = 4, .theta = 10000.0});
  Matrix expected(2, 4,
                  Values{std::cos(1.0), std::sin(1.0), std::cos(0.01), std::sin(0.01), 1, 2, 3, 4});
  EXPECT_LT(largestDifference(output, expected), 1e-15);
}

TEST(ReferenceTransformerKernelsTest, RopeTurnsHalvesAndKeepsTheRest) {
  Matrix input(1, 6, Values{1, 10, 0, 0, 7, 8});
  std::vector<int32_t> positions = {2};
  Values factors = {1.0, 2.0};
  Matrix output = rope(input, positions,
                       {.headDim = 6,
                        .rotaryDim = 4,
                        .theta = 10000.0,
                        .style = RopeStyle::Half,
                        .frequencyFactors = factors});
  Matrix expected(
      1, 6, Values{std::cos(2.0), 10 * std::cos(0.01), std::sin(2.0), 10 * std::sin(0.01), 7, 8});
  EXPECT_LT(largestDifference(output, expected), 1e-14);
}

} // namespace
} // namespace llmir::reference
