// The table of GGUF tensor types, and decoding of the supported ones, value by value; it is the
// definition that faster code is tested against.

#include "llmir/ModelFiles/GGUFTypes.h"

#include "llmir/Base/Float16.h"

#include <array>
#include <cassert>
#include <cstring>
#include <string>

namespace llmir {

static constexpr std::array<GGUFTypeInfo, 34> typeTable = {{
    {GGUFType::F32, "f32", 1, 4},
    {GGUFType::F16, "f16", 1, 2},
    {GGUFType::Q4_0, "q4_0", 32, 18},
    {GGUFType::Q4_1, "q4_1", 32, 20},
    {GGUFType::Q5_0, "q5_0", 32, 22},
    {GGUFType::Q5_1, "q5_1", 32, 24},
    {GGUFType::Q8_0, "q8_0", 32, 34},
    {GGUFType::Q8_1, "q8_1", 32, 36},
    {GGUFType::Q2_K, "q2_K", 256, 84},
    {GGUFType::Q3_K, "q3_K", 256, 110},
    {GGUFType::Q4_K, "q4_K", 256, 144},
    {GGUFType::Q5_K, "q5_K", 256, 176},
    {GGUFType::Q6_K, "q6_K", 256, 210},
    {GGUFType::Q8_K, "q8_K", 256, 292},
    {GGUFType::IQ2_XXS, "iq2_xxs", 256, 66},
    {GGUFType::IQ2_XS, "iq2_xs", 256, 74},
    {GGUFType::IQ3_XXS, "iq3_xxs", 256, 98},
    {GGUFType::IQ1_S, "iq1_s", 256, 50},
    {GGUFType::IQ4_NL, "iq4_nl", 32, 18},
    {GGUFType::IQ3_S, "iq3_s", 256, 110},
    {GGUFType::IQ2_S, "iq2_s", 256, 82},
    {GGUFType::IQ4_XS, "iq4_xs", 256, 136},
    {GGUFType::I8, "i8", 1, 1},
    {GGUFType::I16, "i16", 1, 2},
    {GGUFType::I32, "i32", 1, 4},
    {GGUFType::I64, "i64", 1, 8},
    {GGUFType::F64, "f64", 1, 8},
    {GGUFType::IQ1_M, "iq1_m", 256, 56},
    {GGUFType::BF16, "bf16", 1, 2},
    {GGUFType::TQ1_0, "tq1_0", 256, 54},
    {GGUFType::TQ2_0, "tq2_0", 256, 66},
    {GGUFType::MXFP4, "mxfp4", 32, 17},
    {GGUFType::NVFP4, "nvfp4", 64, 36},
    {GGUFType::Q1_0, "q1_0", 128, 18},
}};

const GGUFTypeInfo *findGGUFType(uint32_t number) {
  for (const GGUFTypeInfo &info : typeTable)
    if (static_cast<uint32_t>(info.type) == number)
      return &info;
  return nullptr;
}

const GGUFTypeInfo &describe(GGUFType type) {
  const GGUFTypeInfo *info = findGGUFType(static_cast<uint32_t>(type));
  assert(info && "every enumerator is in the table");
  return *info;
}

bool isSupportedGGUFType(GGUFType type) {
  switch (type) {
  case GGUFType::F32:
  case GGUFType::F16:
  case GGUFType::BF16:
  case GGUFType::Q8_0:
  case GGUFType::Q4_0:
  case GGUFType::Q4_1:
    return true;
  default:
    return false;
  }
}

static uint16_t loadU16(const uint8_t *bytes) {
  uint16_t value;
  std::memcpy(&value, bytes, sizeof(value));
  return value;
}

static void decodeQ8(const uint8_t *block, float *values) {
  float scale = halfToFloat(loadU16(block));
  for (int i = 0; i < 32; ++i)
    values[i] = scale * static_cast<float>(static_cast<int8_t>(block[2 + i]));
}

/// The 16 bytes of codes of a q4_0 or q4_1 block.
static void decodeNibbles(const uint8_t *codes, float scale, float minimum, int zeroPoint,
                          float *values) {
  for (int i = 0; i < 16; ++i) {
    values[i] = scale * static_cast<float>((codes[i] & 15) - zeroPoint) + minimum;
    values[i + 16] = scale * static_cast<float>((codes[i] >> 4) - zeroPoint) + minimum;
  }
}

static void decodeBlock(GGUFType type, const uint8_t *block, float *values) {
  switch (type) {
  case GGUFType::F32:
    std::memcpy(values, block, sizeof(float));
    return;
  case GGUFType::F16:
    *values = halfToFloat(loadU16(block));
    return;
  case GGUFType::BF16:
    *values = bfloat16ToFloat(loadU16(block));
    return;
  case GGUFType::Q8_0:
    return decodeQ8(block, values);
  case GGUFType::Q4_0:
    return decodeNibbles(block + 2, halfToFloat(loadU16(block)), 0.0f, 8, values);
  case GGUFType::Q4_1:
    return decodeNibbles(block + 4, halfToFloat(loadU16(block)), halfToFloat(loadU16(block + 2)), 0,
                         values);
  default:
    assert(false && "callers check isSupportedGGUFType");
  }
}

Status dequantizeBlocks(GGUFType type, std::span<const uint8_t> bytes, std::span<float> values) {
  const GGUFTypeInfo &info = describe(type);
  if (!isSupportedGGUFType(type))
    return unimplemented("expected type f32, f16, bf16, q8_0, q4_0 or q4_1, but got " +
                         std::string(info.name));
  size_t blocks = values.size() / static_cast<size_t>(info.elements);
  if (values.size() % static_cast<size_t>(info.elements) != 0 ||
      bytes.size() != blocks * static_cast<size_t>(info.bytes))
    return invalidArgument("expected blocks of " + std::to_string(info.elements) + " values in " +
                           std::to_string(info.bytes) + " bytes, but got " +
                           std::to_string(values.size()) + " values and " +
                           std::to_string(bytes.size()) + " bytes");
  for (size_t i = 0; i < blocks; ++i)
    decodeBlock(type, bytes.data() + i * static_cast<size_t>(info.bytes),
                values.data() + i * static_cast<size_t>(info.elements));
  return Status::ok();
}

} // namespace llmir
