// RandomStream: Philox against its published vectors, and the shape of the numbers.

#include "llmir/Base/RandomStream.h"

#include <gtest/gtest.h>

using namespace llmir;

TEST(RandomStreamTest, PhiloxEqualsItsPublishedVectors) {
  using Words = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(RandomStreamTest, NumbersAreUniform) {
  RandomStream stream{42, 0};
  constexpr int numDraws = 20000;
  int histogram[10] = {};
  for (int i = 0; i < numDraws; ++i) {
    double number = stream.uniform(static_cast<uint64_t>(i));
    ASSERT_GE(number, 0.0);
    ASSERT_LT(number, 1.0);
    ++histogram[static_cast<int>(number * 10)];
  }
  for (int count : histogram)
    EXPECT_NEAR(count, numDraws / 10, 200);
}

TEST(RandomStreamTest, SeedStreamAndCounterEachChangeTheNumber) {
  EXPECT_EQ((RandomStream{1, 2}.uniform(3)), (RandomStream{1, 2}.uniform(3)));
  EXPECT_NE((RandomStream{1, 2}.uniform(3)), (RandomStream{2, 2}.uniform(3)));
  EXPECT_NE((RandomStream{1, 2}.uniform(3)), (RandomStream{1, 3}.uniform(3)));
  EXPECT_NE((RandomStream{1, 2}.uniform(3)), (RandomStream{1, 2}.uniform(4)));
}
