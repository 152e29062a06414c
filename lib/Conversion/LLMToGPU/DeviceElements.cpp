// Codes and scales of a paged cache in kernels: see DeviceElements.h.

#include "DeviceElements.h"

#include "../LLMToCPU/CacheAddress.h"

#include <cmath>

namespace mlir::llm {

namespace {
/// The parts of an 8-bit float: its mantissa's bits and its exponent's bias, its largest magnitude
/// and the code of a NaN.
struct Float8 {
  explicit Float8(uint32_t type)
      : isE5M2(type == LLMIR_F8E5M2), mantissaBits(isE5M2 ? 2 : 3), bias(isE5M2 ? 15 : 7),
        largest(isE5M2 ? 57344.0 : 448.0), nan(isE5M2 ? 0x7e : 0x7f) {}

  bool isE5M2;
  int64_t mantissaBits, bias;
  double largest;
  int64_t nan;
};
} // namespace

static bool isFloat8(const CacheSide &side) {
  return side.type == LLMIR_F8E4M3FN || side.type == LLMIR_F8E5M2;
}

//===--- Reading ------------------------------------------------------------------------------===//

/// The bits, shifted to where an f16 has them; E4M3's exponent is then 8 too small.
static Value decodeFloat8(GPUKernelBuilder &b, const Float8 &format, Value byte) {
  Type i16 = b.getI16Type();
  auto i16Constant = [&](int64_t value) -> Value {
    return arith::ConstantOp::create(b, b.getIntegerAttr(i16, value));
  };
  Value bits = arith::ExtSIOp::create(b, i16, byte);
  Value shifted = arith::ShLIOp::create(b, bits, i16Constant(format.isE5M2 ? 8 : 7));
  if (!format.isE5M2)
    shifted = arith::AndIOp::create(b, shifted, i16Constant(-0x4001));
  Value value = b.extend(arith::BitcastOp::create(b, b.getF16Type(), shifted));
  if (format.isE5M2)
    return value;
  Value magnitude = arith::AndIOp::create(b, bits, i16Constant(0x7f));
  Value isNaN = b.compare(arith::CmpIPredicate::eq, magnitude, i16Constant(format.nan));
  Value nan =
      arith::ConstantOp::create(b, b.getF32FloatAttr(std::numeric_limits<float>::quiet_NaN()));
  return b.select(isNaN, nan, b.mul(value, b.f32(256.0)));
}

Value decodeElement(GPUKernelBuilder &b, const CacheSide &side, Value raw) {
  if (!side.isQuantized())
    return b.extend(raw);
  if (isFloat8(side))
    return decodeFloat8(b, Float8(side.type), raw);
  if (side.type == LLMIR_I8)
    return arith::SIToFPOp::create(b, b.getF32Type(), raw);
  Value code = b.sub(arith::ExtUIOp::create(b, b.getI32Type(), raw), b.i32(8));
  return arith::SIToFPOp::create(b, b.getF32Type(), code);
}

//===--- Writing ------------------------------------------------------------------------------===//

static Value isNaN(KernelBuilder &b, Value x) {
  return arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, x, x);
}

/// Clamped to the largest number; subnormal numbers by their unit, others by rounding the f32 bits
/// at the last place that stays.
static Value encodeFloat8(GPUKernelBuilder &b, const Float8 &format, Value scaled) {
  Type i32 = b.getI32Type();
  int64_t shift = 23 - format.mantissaBits;
  Value sign = arith::ShRUIOp::create(b, arith::BitcastOp::create(b, i32, scaled), b.i32(24));
  sign = arith::AndIOp::create(b, sign, b.i32(0x80));
  Value magnitude = b.minimumNumber(b.absolute(scaled), b.f32(format.largest));
  Value bits = arith::BitcastOp::create(b, i32, magnitude);
  Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, bits, b.i32(shift)), b.i32(1));
  Value rounded = b.add(b.add(bits, b.i32((1 << (shift - 1)) - 1)), odd);
  Value normal = b.sub(arith::ShRUIOp::create(b, rounded, b.i32(shift)),
                       b.i32((127 - format.bias) << format.mantissaBits));
  double unit = std::ldexp(1.0, static_cast<int>(format.bias - 1 + format.mantissaBits));
  double smallest = std::ldexp(1.0, static_cast<int>(1 - format.bias));
  // The product is read only where it is small: elsewhere it would not fit the integer.
  Value isSmall = arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, magnitude, b.f32(smallest));
  Value units = b.roundEven(b.mul(b.select(isSmall, magnitude, b.f32(0.0)), b.f32(unit)));
  Value code = b.select(isSmall, arith::FPToSIOp::create(b, i32, units), normal);
  code = b.select(isNaN(b, scaled), b.i32(format.nan), code);
  return arith::TruncIOp::create(b, b.getI8Type(), arith::OrIOp::create(b, code, sign));
}

Value encodeElement(GPUKernelBuilder &b, const CacheSide &side, Value scaled) {
  if (isFloat8(side))
    return encodeFloat8(b, Float8(side.type), scaled);
  double limit = side.type == LLMIR_I8 ? 127.0 : 7.0;
  Value value = b.select(isNaN(b, scaled), b.f32(0.0), scaled);
  value = b.maximum(b.minimumNumber(value, b.f32(limit)), b.f32(-limit));
  Value code = arith::FPToSIOp::create(b, b.getI32Type(), b.roundEven(value));
  if (side.type == LLMIR_I4)
    code = b.add(code, b.i32(8));
  return arith::TruncIOp::create(b, b.getI8Type(), code);
}

Value encodeScale(GPUKernelBuilder &b, const CacheSide &side, Value largest) {
  double limit = side.type == LLMIR_I8   ? 127.0
                 : side.type == LLMIR_I4 ? 7.0
                                         : Float8(side.type).largest;
  Value scale = b.div(largest, b.f32(limit));
  if (side.scaleType == LLMIR_F16)
    scale = b.minimumNumber(scale, b.f32(65504.0));
  return b.truncate(scale, cacheElementType(b, side.scaleType));
}

} // namespace mlir::llm
