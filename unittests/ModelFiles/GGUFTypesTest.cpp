// Block decoding of the supported GGUF types on hand-made blocks.

#include "llmir/ModelFiles/GGUFTypes.h"

#include "llmir/Base/Float16.h"

#include <gtest/gtest.h>
#include <vector>

namespace llmir {
namespace {

void putHalf(std::vector<uint8_t> &bytes, float value) {
  uint16_t half = floatToHalf(value);
  bytes.push_back(static_cast<uint8_t>(half & 255));
  bytes.push_back(static_cast<uint8_t>(half >> 8));
}

TEST(GGUFTypesTest, NamesEveryPublishedType) {
  EXPECT_EQ(describe(GGUFType::Q6_K).name, "q6_K");
  EXPECT_EQ(describe(GGUFType::Q4_1).bytes, 20);
  EXPECT_EQ(findGGUFType(4), nullptr);
  EXPECT_EQ(findGGUFType(99), nullptr);
  EXPECT_TRUE(isSupportedGGUFType(GGUFType::Q8_0));
  EXPECT_FALSE(isSupportedGGUFType(GGUFType::Q6_K));
}

TEST(GGUFTypesTest, DecodesQ8) {
  std::vector<uint8_t> block;
  putHalf(block, 0.5f);
  for (int i = 0; i < 32; ++i)
    block.push_back(static_cast<uint8_t>(i - 16));
  std::vector<float> values(32);
  ASSERT_TRUE(dequantizeBlocks(GGUFType::Q8_0, block, values).isOk());
  for (int i = 0; i < 32; ++i)
    EXPECT_EQ(values[i], 0.5f * (i - 16));
}

TEST(GGUFTypesTest, DecodesQ4) {
  std::vector<uint8_t> q40, q41;
  putHalf(q40, 2.0f);
  putHalf(q41, 2.0f);
  putHalf(q41, -3.0f);
  for (int i = 0; i < 16; ++i) {
    q40.push_back(static_cast<uint8_t>(i | (15 - i) << 4));
    q41.push_back(static_cast<uint8_t>(i | (15 - i) << 4));
  }
  std::vector<float> values(32);
  ASSERT_TRUE(dequantizeBlocks(GGUFType::Q4_0, q40, values).isOk());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], 2.0f * (i - 8));
    EXPECT_EQ(values[i + 16], 2.0f * (15 - i - 8));
  }
  ASSERT_TRUE(dequantizeBlocks(GGUFType::Q4_1, q41, values).isOk());
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[i], 2.0f * i - 3.0f);
    EXPECT_EQ(values[i + 16], 2.0f * (15 - i) - 3.0f);
  }
}

TEST(GGUFTypesTest, DecodesFloats) {
  std::vector<uint8_t> half;
  putHalf(half, 1.5f);
  putHalf(half, -0.25f);
  std::vector<float> values(2);
  ASSERT_TRUE(dequantizeBlocks(GGUFType::F16, half, values).isOk());
  EXPECT_EQ(values, (std::vector<float>{1.5f, -0.25f}));
  std::vector<uint8_t> bfloat = {0x80, 0x3f, 0x00, 0xc0};
  ASSERT_TRUE(dequantizeBlocks(GGUFType::BF16, bfloat, values).isOk());
  EXPECT_EQ(values, (std::vector<float>{1.0f, -2.0f}));
  std::vector<uint8_t> full = {0, 0, 0x80, 0x3f, 0, 0, 0, 0xc0};
  ASSERT_TRUE(dequantizeBlocks(GGUFType::F32, full, values).isOk());
  EXPECT_EQ(values, (std::vector<float>{1.0f, -2.0f}));
}

TEST(GGUFTypesTest, RefusesSizesAndTypes) {
  std::vector<uint8_t> bytes(34);
  std::vector<float> values(33);
  Status status = dequantizeBlocks(GGUFType::Q8_0, bytes, values);
  EXPECT_EQ(status.message(),
            "expected blocks of 32 values in 34 bytes, but got 33 values and 34 bytes");
  status = dequantizeBlocks(GGUFType::Q6_K, bytes, values);
  EXPECT_EQ(status.code(), StatusCode::Unimplemented);
  EXPECT_EQ(status.message(), "expected type f32, f16, bf16, q8_0, q4_0 or q4_1, but got q6_K");
}

} // namespace
} // namespace llmir
