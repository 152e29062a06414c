// GGUF decoding and activation rounding of the reference, against bytes and numbers made by hand.

#include "llmir/Reference/Matrix.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace llmir::reference {
namespace {

TEST(ReferenceMatrixTest, DecodesPlainTypes) {
  // 1.0 and -2.5.
  std::vector<uint8_t> f32 = {0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0};
  std::vector<uint8_t> f16 = {0, 0x3c, 0, 0xc1};
  std::vector<uint8_t> bf16 = {0x80, 0x3f, 0x20, 0xc0};
  for (const auto &[type, bytes] : {std::pair(GGUFType::F32, f32), std::pair(GGUFType::F16, f16),
                                    std::pair(GGUFType::BF16, bf16)}) {
    Matrix matrix = decodeGGUF(type, bytes, 2, 1);
    EXPECT_EQ(matrix.at(0, 0), 1.0);
    EXPECT_EQ(matrix.at(1, 0), -2.5);
  }
}

TEST(ReferenceMatrixTest, DecodesEightBitBlocks) {
  std::vector<uint8_t> bytes(2 * 34);
  bytes[1] = 0x38;      // 0.5
  bytes[2 + 31] = 0x80; // -128
  bytes[34 + 1] = 0x40; // 2.0
  bytes[34 + 2] = 3;
  Matrix matrix = decodeGGUF(GGUFType::Q8_0, bytes, 1, 64);
  EXPECT_EQ(matrix.at(0, 31), -64.0);
  EXPECT_EQ(matrix.at(0, 32), 6.0);
  EXPECT_EQ(matrix.at(0, 33), 0.0);
}

TEST(ReferenceMatrixTest, DecodesFourBitBlocks) {
  std::vector<uint8_t> symmetric(18);
  symmetric[1] = 0x3c;     // 1.0
  symmetric[2 + 5] = 0xf1; // 1 at k = 5, 15 at k = 21
  Matrix q4_0 = decodeGGUF(GGUFType::Q4_0, symmetric, 1, 32);
  EXPECT_EQ(q4_0.at(0, 5), -7.0);
  EXPECT_EQ(q4_0.at(0, 21), 7.0);
  EXPECT_EQ(q4_0.at(0, 0), -8.0);

  std::vector<uint8_t> withMinimum(20);
  withMinimum[1] = 0x40;      // 2.0
  withMinimum[3] = 0xbc;      // -1.0
  withMinimum[4 + 15] = 0x20; // 0 at k = 15, 2 at k = 31
  Matrix q4_1 = decodeGGUF(GGUFType::Q4_1, withMinimum, 1, 32);
  EXPECT_EQ(q4_1.at(0, 15), -1.0);
  EXPECT_EQ(q4_1.at(0, 31), 3.0);
}

TEST(ReferenceMatrixTest, RoundsGroupsOfActivationsByThemselves) {
  Matrix input(1, 4, std::vector<double>{127.0, 0.4, 0.0, 0.0});
  Matrix rounded = roundToInt8(input, 2);
  EXPECT_EQ(rounded.at(0, 0), 127.0);
  EXPECT_EQ(rounded.at(0, 1), 0.0);
  EXPECT_EQ(rounded.at(0, 3), 0.0);
  Matrix second(1, 2, std::vector<double>{254.0, -3.0});
  EXPECT_EQ(roundToInt8(second, 2).at(0, 1), -4.0); // -1.5 is a tie: to even.
}

TEST(ReferenceMatrixTest, DifferenceKeepsNaN) {
  Matrix a(1, 2, std::vector<double>{0.0, std::numeric_limits<double>::quiet_NaN()});
  EXPECT_TRUE(std::isnan(largestDifference(a, Matrix(1, 2))));
  EXPECT_EQ(largestDifference(Matrix(1, 1, std::vector<double>{3.0}), Matrix(1, 1)), 3.0);
}

} // namespace
} // namespace llmir::reference
