// The data types that a GGUF file gives its tensors, with the sizes of their blocks. Every
// published type is named, so that a file can be checked and a refusal can say what it refuses;
// only those of isSupportedGGUFType are read.

#ifndef LLMIR_MODELFILES_GGUFTYPES_H
#define LLMIR_MODELFILES_GGUFTYPES_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <span>
#include <string_view>

namespace llmir {

/// The number that a GGUF file stores for a tensor's type.
enum class GGUFType : uint32_t {
  F32 = 0,
  F16 = 1,
  Q4_0 = 2,
  Q4_1 = 3,
  Q5_0 = 6,
  Q5_1 = 7,
  Q8_0 = 8,
  Q8_1 = 9,
  Q2_K = 10,
  Q3_K = 11,
  Q4_K = 12,
  Q5_K = 13,
  Q6_K = 14,
  Q8_K = 15,
  IQ2_XXS = 16,
  IQ2_XS = 17,
  IQ3_XXS = 18,
  IQ1_S = 19,
  IQ4_NL = 20,
  IQ3_S = 21,
  IQ2_S = 22,
  IQ4_XS = 23,
  I8 = 24,
  I16 = 25,
  I32 = 26,
  I64 = 27,
  F64 = 28,
  IQ1_M = 29,
  BF16 = 30,
  TQ1_0 = 34,
  TQ2_0 = 35,
  MXFP4 = 39,
  NVFP4 = 40,
  Q1_0 = 41,
};

/// A type's printed name ("q4_1") and its unit of storage: `elements` consecutive values of a row
/// take `bytes` bytes.
struct GGUFTypeInfo {
  GGUFType type;
  std::string_view name;
  int64_t elements;
  int64_t bytes;
};

/// What is known about type number `number`; null for a number that no published type has.
const GGUFTypeInfo *findGGUFType(uint32_t number);
/// The same for a type that a GGUFTensor holds, which is always known.
const GGUFTypeInfo &describe(GGUFType type);

/// Whether dequantizeBlocks and the compiler read the type: f32, f16, bf16, q8_0, q4_0, q4_1.
bool isSupportedGGUFType(GGUFType type);

/// Decodes consecutive blocks of a supported type. `values.size()` is a multiple of the type's
/// block and `bytes` holds exactly those blocks; InvalidArgument otherwise, Unimplemented for other
/// types. Blocks of 32: q8_0 is w = d·c with a half d and signed bytes; q4_0 is w = d·(c − 8), q4_1
/// is w = d·c + m, value j of the low nibbles before value j of the high ones.
Status dequantizeBlocks(GGUFType type, std::span<const uint8_t> bytes, std::span<float> values);

} // namespace llmir

#endif // LLMIR_MODELFILES_GGUFTYPES_H
