// NumberFormats: conversions between f32 and the formats of fewer bits, for N numbers at a time in
// vectors of the language extension that g++ and clang++ share. Internal to the cache; conversions
// of single numbers are in Base/Float16.h.

#ifndef LLMIR_LIB_CACHE_NUMBERFORMATS_H
#define LLMIR_LIB_CACHE_NUMBERFORMATS_H

#include <cstdint>

namespace llmir {

// Files for several instruction sets are made of these functions: none may be shared between them,
// so all are inlined, and nothing of the standard library's is used.
#define LLMIR_INLINE [[gnu::always_inline]] inline

/// N numbers and the conversions between their formats. All round to nearest, ties to even.
template <int N> struct Numbers {
  typedef float Float __attribute__((vector_size(N * 4)));
  typedef uint32_t Bits __attribute__((vector_size(N * 4)));
  typedef int32_t Mask __attribute__((vector_size(N * 4))); // all bits of a lane or none

  LLMIR_INLINE static Bits bits(Float value) { return reinterpret_cast<Bits>(value); }
  LLMIR_INLINE static Float number(Bits bits) { return reinterpret_cast<Float>(bits); }
  LLMIR_INLINE static Float splat(float value) { return Float{} + value; }
  LLMIR_INLINE static Bits splatBits(uint32_t value) { return Bits{} + value; }
  /// Bits below 2^31 compare as signed numbers, for which more processors have instructions.
  LLMIR_INLINE static Bits greater(Bits a, uint32_t b) {
    return reinterpret_cast<Bits>(reinterpret_cast<Mask>(a) > static_cast<int32_t>(b));
  }
  LLMIR_INLINE static Bits select(Bits mask, Bits yes, Bits no) {
    return (yes & mask) | (no & ~mask);
  }

  /// The values of binary16 bit patterns; NaNs become quiet.
  LLMIR_INLINE static Float halfValues(Bits halves) {
    // The exponent field is 5 bits of 8: right but for a factor of 2^(127-15).
    Bits magnitude = (halves & 0x7fffu) << 13;
    Bits finite = bits(number(magnitude) * 0x1p112f);
    Bits special = magnitude | 0x7f800000u | (greater(magnitude, 0x0f800000u) & 0x400000u);
    return number(select(greater(magnitude, 0x0f7fffffu), special, finite) | (halves & 0x8000u)
                                                                                 << 16);
  }

  /// binary16; from 65520 on infinity, as Base/Float16.h.
  LLMIR_INLINE static Bits nearestHalves(Float value) {
    Bits magnitude = bits(value) & 0x7fffffffu;
    Bits nan = ((magnitude >> 13) & 0x3ffu) | 0x7e00u;
    // Adding 0.5 leaves multiples of 2^-24 in the low bits, rounded by the addition.
    Bits small = bits(number(magnitude) + 0.5f) - 0x3f000000u;
    Bits rebased = magnitude - (112u << 23);
    Bits normal = (rebased + 0xfffu + ((rebased >> 13) & 1u)) >> 13;
    Bits result = select(greater(magnitude, 0x387fffffu), normal, small);
    result = select(greater(magnitude, 0x477fefffu), splatBits(0x7c00u), result);
    result = select(greater(magnitude, 0x7f800000u), nan, result);
    return result | ((bits(value) >> 16) & 0x8000u);
  }

  LLMIR_INLINE static Float bfloat16Values(Bits patterns) { return number(patterns << 16); }

  /// bfloat16; NaNs become quiet.
  LLMIR_INLINE static Bits nearestBFloat16s(Float value) {
    Bits all = bits(value);
    Bits nearest = (all + 0x7fffu + ((all >> 16) & 1u)) >> 16;
    return select(greater(all & 0x7fffffffu, 0x7f800000u), (all >> 16) | 0x40u, nearest);
  }

  /// 8-bit floats with `MantissaBits` bits of mantissa whose largest finite number has the bits
  /// `Largest`: saturating; a NaN gives `NaN` with its sign.
  template <int MantissaBits, int Bias, uint32_t Largest, uint32_t NaN>
  LLMIR_INLINE static Bits nearestFloat8s(Float value) {
    constexpr uint32_t dropped = 23 - MantissaBits, field = 23;
    constexpr uint32_t smallestNormal = static_cast<uint32_t>(127 - Bias + 1) << field;
    Bits magnitude = bits(value) & 0x7fffffffu;
    Bits clamped = select(greater(magnitude, Largest), splatBits(Largest), magnitude);
    // The power of two below, or that of the smallest normal number for what is subnormal.
    Bits power = clamped & 0x7f800000u;
    power = select(greater(power, smallestNormal), power, splatBits(smallestNormal));
    // Added to so many times as much, a number is rounded to as many bits as its code has, and
    // these are the lowest bits of the sum; a carry goes on into the exponent.
    Bits larger = power + (dropped << field);
    Bits mantissa = bits(number(clamped) + number(larger)) - larger;
    Bits result =
        mantissa + (power >> dropped) - (static_cast<uint32_t>(127 - Bias + 1) << MantissaBits);
    result = select(greater(magnitude, 0x7f800000u), splatBits(NaN), result);
    return result | ((bits(value) >> 24) & 0x80u);
  }

  LLMIR_INLINE static Bits nearestFloat8E4M3FNs(Float value) {
    return nearestFloat8s<3, 7, 0x43e00000u /* 448 */, 0x7fu>(value);
  }
  LLMIR_INLINE static Bits nearestFloat8E5M2s(Float value) {
    return nearestFloat8s<2, 15, 0x47600000u /* 57344 */, 0x7eu>(value);
  }

  LLMIR_INLINE static Float float8E4M3FNValues(Bits codes) {
    Bits magnitude = codes & 0x7fu;
    Bits finite = bits(number(magnitude << 20) * 0x1p120f);
    return number(select(greater(magnitude, 0x7eu), splatBits(0x7fc00000u), finite) |
                  (codes & 0x80u) << 24);
  }
  LLMIR_INLINE static Float float8E5M2Values(Bits codes) { return halfValues(codes << 8); }

  /// Integers from -limit to limit, two's complement; 0 for a NaN.
  LLMIR_INLINE static Bits nearestIntegers(Float value, float limit) {
    Float magnitude = number(bits(value) & 0x7fffffffu);
    Bits isNumber = reinterpret_cast<Bits>(value == value);
    Bits isLarge = reinterpret_cast<Bits>(magnitude > limit);
    Float clamped = number(select(isLarge, bits(splat(limit)), bits(magnitude)) & isNumber);
    // Past 2^23 the unit of a float is 1.
    Bits nearest = bits(clamped + 0x1p23f) - 0x4b000000u;
    Bits negative = reinterpret_cast<Bits>(reinterpret_cast<Mask>(value) >> 31);
    return (nearest ^ negative) - negative;
  }

  /// Of two's complement, for codes of less than 2^22.
  LLMIR_INLINE static Float integerValues(Bits codes) {
    return number(codes + 0x4b400000u) - 0x1.8p23f;
  }
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_NUMBERFORMATS_H
