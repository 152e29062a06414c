// Elements and scales of a paged cache in kernels: see CacheElements.h.

#include "CacheElements.h"

#include "CacheAddress.h"

#include "mlir/Dialect/Math/IR/Math.h"

namespace mlir::llm {

CacheSide CacheSide::keys(const llmir_cache_layout &layout) {
  return {layout.key_type,         layout.key_scale_granularity, layout.scale_type,
          layout.key_head_dim,     layout.key_scale_group,       layout.key_scale_offset,
          layout.key_scale_stride, layout.key_interleave,        /*isKey=*/true};
}

CacheSide CacheSide::values(const llmir_cache_layout &layout) {
  return {layout.value_type,         layout.value_scale_granularity, layout.scale_type,
          layout.value_head_dim,     layout.value_scale_group,       layout.value_scale_offset,
          layout.value_scale_stride, layout.value_interleave};
}

//===--- Reading ------------------------------------------------------------------------------===//

/// fp8 bits as f16 bits, exponents not rebiased (readFactor makes up for it). f16 instructions take
/// subnormal numbers at full speed, f32 ones do not.
static Value extendFloat8(KernelBuilder &b, const CacheSide &side, Value bytes, int64_t lanes) {
  VectorType shorts = b.vectorOf(b.getI16Type(), lanes);
  Value bits = arith::ExtSIOp::create(b, shorts, bytes);
  if (side.type == LLMIR_F8E5M2) {
    bits = arith::ShLIOp::create(b, bits, b.splatInt(8, shorts));
  } else {
    bits = arith::ShLIOp::create(b, bits, b.splatInt(7, shorts));
    bits = arith::AndIOp::create(b, bits, b.splatInt(-0x4001, shorts));
    // 0x7f, E4M3's only NaN, is the only one to carry into the largest exponent's first bit, which
    // makes it a NaN of f16.
    Value carry = b.add(bits, b.splatInt(0x80, shorts));
    carry = arith::AndIOp::create(b, carry, b.splatInt(0x4000, shorts));
    bits = arith::OrIOp::create(b, bits, carry);
  }
  return b.extend(b.bitcast(bits, b.vectorOf(b.getF16Type(), lanes)));
}

Value loadElements(KernelBuilder &b, const CacheSide &side, Value base, Value address,
                   int64_t lanes, int64_t stream) {
  if (side.pairsChannels()) {
    VectorType ints = b.vectorOf(b.getI32Type(), lanes);
    Value bits = b.loadBytes(base, address, b.getI32Type(), lanes);
    bits = stream == 0 ? Value(arith::ShLIOp::create(b, bits, b.splatInt(16, ints)))
                       : Value(arith::AndIOp::create(b, bits, b.splatInt(-65536, ints)));
    return b.bitcast(bits, b.vectorOf(b.getF32Type(), lanes));
  }
  if (!side.isQuantized())
    return b.extend(b.loadBytes(base, address, cacheElementType(b, side.type), lanes));
  Value bytes = b.loadBytes(base, address, b.getI8Type(), lanes);
  VectorType floats = b.vectorOf(b.getF32Type(), lanes), ints = b.vectorOf(b.getI32Type(), lanes);
  switch (side.type) {
  case LLMIR_I8:
    return arith::SIToFPOp::create(b, floats, bytes);
  case LLMIR_I4: {
    Value codes = arith::ExtUIOp::create(b, ints, bytes);
    codes = stream == 0 ? Value(arith::AndIOp::create(b, codes, b.splatInt(15, ints)))
                        : Value(arith::ShRUIOp::create(b, codes, b.splatInt(4, ints)));
    return arith::SIToFPOp::create(b, floats, codes);
  }
  default:
    return extendFloat8(b, side, bytes, lanes);
  }
}

Value loadScales(KernelBuilder &b, const CacheSide &side, Value base, Value address,
                 int64_t lanes) {
  return b.extend(b.loadBytes(base, address, cacheElementType(b, side.scaleType), lanes));
}

//===--- Writing ------------------------------------------------------------------------------===//

/// A vector of one f32 to fp8 bits: clamped to the largest number, subnormal numbers by their unit,
/// others by rounding the f32 bits at the last place that stays.
static Value emitFloat8Code(KernelBuilder &b, bool isE5M2, Value scaled) {
  auto type = cast<VectorType>(scaled.getType());
  int64_t lanes = type.getDimSize(0);
  VectorType ints = b.vectorOf(b.getI32Type(), lanes);
  auto integer = [&](int64_t value) { return b.splatInt(value, ints); };
  int64_t mantissaBits = isE5M2 ? 2 : 3;
  int64_t bias = isE5M2 ? 15 : 7;
  int64_t shift = 23 - mantissaBits;
  Value bits = b.bitcast(scaled, ints);
  Value sign = arith::AndIOp::create(b, bits, integer(0x80000000LL - 0x100000000LL));
  sign = arith::ShRUIOp::create(b, sign, integer(24));
  Value magnitude = math::AbsFOp::create(b, scaled);
  magnitude = arith::MinNumFOp::create(b, magnitude, b.splatF32(isE5M2 ? 57344.0 : 448.0, lanes));
  Value magnitudeBits = b.bitcast(magnitude, ints);
  Value odd = arith::AndIOp::create(b, arith::ShRUIOp::create(b, magnitudeBits, integer(shift)),
                                    integer(1));
  Value rounded = b.add(b.add(magnitudeBits, integer((1 << (shift - 1)) - 1)), odd);
  Value normal = b.sub(arith::ShRUIOp::create(b, rounded, integer(shift)),
                       integer((127 - bias) << mantissaBits));
  double unit = std::ldexp(1.0, static_cast<int>(bias - 1 + mantissaBits));
  Value small = math::RoundEvenOp::create(b, b.mul(magnitude, b.splatF32(unit, lanes)));
  Value subnormal = arith::FPToSIOp::create(b, ints, small);
  Value isSmall =
      arith::CmpFOp::create(b, arith::CmpFPredicate::OLT, magnitude,
                            b.splatF32(std::ldexp(1.0, static_cast<int>(1 - bias)), lanes));
  Value code = b.select(isSmall, subnormal, normal);
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, scaled, scaled);
  code = b.select(isNaN, integer(isE5M2 ? 0x7e : 0x7f), code);
  code = arith::OrIOp::create(b, code, sign);
  return arith::TruncIOp::create(b, b.vectorOf(b.getI8Type(), lanes), code);
}

Value emitCode(KernelBuilder &b, const CacheSide &side, Value scaled) {
  if (side.type == LLMIR_F8E4M3FN || side.type == LLMIR_F8E5M2)
    return emitFloat8Code(b, side.type == LLMIR_F8E5M2, scaled);
  int64_t lanes = cast<VectorType>(scaled.getType()).getDimSize(0);
  double limit = side.type == LLMIR_I8 ? 127.0 : 7.0;
  Value isNaN = arith::CmpFOp::create(b, arith::CmpFPredicate::UNO, scaled, scaled);
  Value value = b.select(isNaN, b.splatF32(0.0, lanes), scaled);
  value = arith::MinNumFOp::create(b, value, b.splatF32(limit, lanes));
  value = arith::MaxNumFOp::create(b, value, b.splatF32(-limit, lanes));
  value = math::RoundEvenOp::create(b, value);
  VectorType ints = b.vectorOf(b.getI32Type(), lanes);
  Value code = arith::FPToSIOp::create(b, ints, value);
  if (side.type == LLMIR_I4)
    code = b.add(code, b.splatInt(8, ints));
  return arith::TruncIOp::create(b, b.vectorOf(b.getI8Type(), lanes), code);
}

Value emitScale(KernelBuilder &b, const CacheSide &side, Value absoluteMaximum) {
  int64_t lanes = cast<VectorType>(absoluteMaximum.getType()).getDimSize(0);
  double largest = side.type == LLMIR_I8         ? 127.0
                   : side.type == LLMIR_I4       ? 7.0
                   : side.type == LLMIR_F8E4M3FN ? 448.0
                                                 : 57344.0;
  Value scale = b.div(absoluteMaximum, b.splatF32(largest, lanes));
  if (side.scaleType == LLMIR_F16)
    scale = arith::MinNumFOp::create(b, scale, b.splatF32(65504.0, lanes));
  return b.truncate(scale, cacheElementType(b, side.scaleType));
}

} // namespace mlir::llm
