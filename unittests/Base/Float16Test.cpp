// Half and bfloat16 conversions against their definitions: every 16-bit pattern, and ties.

#include "llmir/Base/Float16.h"

#include <cmath>
#include <gtest/gtest.h>
#include <limits>

namespace llmir {
namespace {

/// The value of a half by its definition.
double halfByDefinition(uint16_t half) {
  int exponent = (half >> 10) & 31;
  int mantissa = half & 1023;
  double magnitude =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
  return half & 0x8000 ? -magnitude : magnitude;
}

TEST(Float16Test, EveryHalfIsExactAndComesBack) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    uint16_t half = static_cast<uint16_t>(bits);
    float value = halfToFloat(half);
    if ((half & 0x7c00) == 0x7c00) {
      EXPECT_EQ(std::isinf(value), (half & 0x3ff) == 0);
      EXPECT_EQ(std::isnan(value), (half & 0x3ff) != 0);
      EXPECT_EQ(std::isnan(halfToFloat(floatToHalf(value))), std::isnan(value));
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), halfByDefinition(half)) << bits;
    ASSERT_EQ(floatToHalf(value), half) << bits;
  }
}

TEST(Float16Test, HalvesRoundToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7bff; ++bits) {
    float low = halfToFloat(static_cast<uint16_t>(bits));
    float high = halfToFloat(static_cast<uint16_t>(bits + 1));
    float middle = low + (high - low) / 2;
    uint32_t even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(floatToHalf(middle), even) << bits;
    ASSERT_EQ(floatToHalf(std::nextafter(middle, low)), bits) << bits;
    ASSERT_EQ(floatToHalf(std::nextafter(middle, high)), bits + 1) << bits;
  }
}

TEST(Float16Test, HalfRange) {
  EXPECT_EQ(floatToHalf(65504.0f), 0x7bff);
  EXPECT_EQ(floatToHalf(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(floatToHalf(65520.0f), 0x7c00);
  EXPECT_EQ(floatToHalf(-1e30f), 0xfc00);
  EXPECT_EQ(floatToHalf(1e-30f), 0);
  EXPECT_EQ(floatToHalf(-0.0f), 0x8000);
  EXPECT_TRUE(std::isnan(halfToFloat(floatToHalf(std::numeric_limits<float>::quiet_NaN()))));
}

TEST(Float16Test, BFloat16RoundsToNearestEven) {
  for (uint32_t bits = 0; bits < 0x7f80; ++bits) {
    float low = bfloat16ToFloat(static_cast<uint16_t>(bits));
    ASSERT_EQ(floatToBFloat16(low), bits);
    float middle = std::bit_cast<float>(bits << 16 | 0x8000u);
    ASSERT_EQ(floatToBFloat16(middle), bits % 2 == 0 ? bits : bits + 1) << bits;
    ASSERT_EQ(floatToBFloat16(-std::bit_cast<float>(bits << 16 | 0x8001u)), (bits + 1) | 0x8000u);
  }
  EXPECT_TRUE(std::isnan(bfloat16ToFloat(floatToBFloat16(std::bit_cast<float>(0x7f800001u)))));
}

} // namespace
} // namespace llmir
