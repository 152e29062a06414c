// RowLoops: the loops of RowKernels as templates over a Machine: how many numbers its vectors hold,
// and how it moves between numbers and narrower elements. One source file for each instruction set
// instantiates them.

#ifndef LLMIR_LIB_CACHE_ROWLOOPS_H
#define LLMIR_LIB_CACHE_ROWLOOPS_H

#include "NumberFormats.h"
#include "RowKernels.h"

#include <cstring>

// What is here is compiled for instructions that not every host has: nothing may be merged with
// another file's.
namespace {

using llmir::ElementType;
using llmir::RowKernels;

/// Bytes of an element of a row; an i4 code takes one.
constexpr int64_t rowSize(ElementType type) {
  return type == ElementType::F32 ? 4 : type <= ElementType::BF16 ? 2 : 1;
}

/// The values of a vector of stored elements.
template <typename Machine, ElementType Type>
LLMIR_INLINE typename Machine::Float readNumbers(const uint8_t *data) {
  if constexpr (Type == ElementType::F32) {
    typename Machine::Float numbers;
    std::memcpy(&numbers, data, sizeof(numbers));
    return numbers;
  } else if constexpr (Type == ElementType::F16) {
    return Machine::readHalves(data);
  } else if constexpr (Type == ElementType::BF16) {
    return Machine::bfloat16Values(Machine::widen2(data));
  } else if constexpr (Type == ElementType::F8E4M3FN) {
    return Machine::float8E4M3FNValues(Machine::widen1(data));
  } else if constexpr (Type == ElementType::F8E5M2) {
    return Machine::float8E5M2Values(Machine::widen1(data));
  } else if constexpr (Type == ElementType::I8) {
    // From 8 to 32 bits with the sign: flipping it and taking 128 off.
    return Machine::integerValues((Machine::widen1(data) ^ 0x80u) - 0x80u);
  } else {
    return Machine::integerValues(Machine::widen1(data) - 8u);
  }
}

/// Stores a vector of numbers.
template <typename Machine, ElementType Type>
LLMIR_INLINE void writeNumbers(uint8_t *data, typename Machine::Float numbers) {
  if constexpr (Type == ElementType::F32)
    std::memcpy(data, &numbers, sizeof(numbers));
  else if constexpr (Type == ElementType::F16)
    Machine::writeHalves(data, numbers);
  else if constexpr (Type == ElementType::BF16)
    Machine::narrow2(data, Machine::nearestBFloat16s(numbers));
  else if constexpr (Type == ElementType::F8E4M3FN)
    Machine::narrow1(data, Machine::nearestFloat8E4M3FNs(numbers));
  else if constexpr (Type == ElementType::F8E5M2)
    Machine::narrow1(data, Machine::nearestFloat8E5M2s(numbers));
  else if constexpr (Type == ElementType::I8)
    Machine::narrow1(data, Machine::nearestIntegers(numbers, 127) & 0xffu);
  else
    Machine::narrow1(data, Machine::nearestIntegers(numbers, 7) + 8u);
}

template <typename Machine, ElementType From, ElementType To>
LLMIR_INLINE void convertVector(const uint8_t *source, float factor, uint8_t *target) {
  writeNumbers<Machine, To>(target, readNumbers<Machine, From>(source) * factor);
}

/// target[i] = source[i] * factor.
template <typename Machine, ElementType From, ElementType To>
void convertRow(const uint8_t *source, int64_t count, float factor, uint8_t *target) {
  constexpr int64_t width = Machine::width;
  int64_t i = 0;
  for (; i + width <= count; i += width)
    convertVector<Machine, From, To>(source + i * rowSize(From), factor, target + i * rowSize(To));
  if (i == count)
    return;
  uint8_t from[width * 4] = {}, to[width * 4];
  std::memcpy(from, source + i * rowSize(From), static_cast<size_t>((count - i) * rowSize(From)));
  convertVector<Machine, From, To>(from, factor, to);
  std::memcpy(target + i * rowSize(To), to, static_cast<size_t>((count - i) * rowSize(To)));
}

/// The largest bit pattern without its sign up to `Infinity`; patterns are in the order of
/// magnitudes.
template <typename Machine, typename Pattern, Pattern Infinity>
LLMIR_INLINE Pattern largestPattern(const uint8_t *array, int64_t count) {
  constexpr int64_t width = Machine::width * 4 / int64_t(sizeof(Pattern));
  constexpr Pattern magnitudeMask = sizeof(Pattern) == 2 ? 0x7fff : 0x7fffffff;
  typedef Pattern Vector __attribute__((vector_size(Machine::width * 4)));
  Vector largest{};
  auto add = [&largest](const uint8_t *data) __attribute__((always_inline)) {
    Vector bits;
    std::memcpy(&bits, data, sizeof(bits));
    bits &= magnitudeMask;
    bits &= reinterpret_cast<Vector>(bits <= Infinity);
    Vector isLarger = reinterpret_cast<Vector>(bits > largest);
    largest = (bits & isLarger) | (largest & ~isLarger);
  };
  int64_t i = 0;
  for (; i + width <= count; i += width)
    add(array + i * int64_t(sizeof(Pattern)));
  if (i < count) {
    uint8_t rest[sizeof(Vector)] = {};
    std::memcpy(rest, array + i * int64_t(sizeof(Pattern)),
                static_cast<size_t>(count - i) * sizeof(Pattern));
    add(rest);
  }
  Pattern lanes[width];
  std::memcpy(lanes, &largest, sizeof(lanes));
  for (int64_t half = width / 2; half > 0; half /= 2)
    for (int64_t lane = 0; lane < half; ++lane)
      lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
  return lanes[0];
}

template <typename Machine, ElementType Array>
float maxMagnitude(const uint8_t *array, int64_t count) {
  uint32_t bits;
  if constexpr (Array == ElementType::F32)
    bits = static_cast<uint32_t>(largestPattern<Machine, int32_t, 0x7f800000>(array, count));
  else if constexpr (Array == ElementType::BF16)
    bits = static_cast<uint32_t>(largestPattern<Machine, int16_t, 0x7f80>(array, count)) << 16;
  else
    return Machine::halfValues(Machine::splatBits(
        static_cast<uint32_t>(largestPattern<Machine, int16_t, 0x7c00>(array, count))))[0];
  return __builtin_bit_cast(float, bits);
}

template <typename Machine, ElementType Array> RowKernels makeRowKernels(ElementType storage) {
#define LLMIR_ROW_KERNELS(Type)                                                                    \
  case ElementType::Type:                                                                          \
    return {                                                                                       \
      maxMagnitude<Machine, Array>, convertRow<Machine, Array, ElementType::Type>,                 \
          convertRow<Machine, ElementType::Type, Array>                                            \
    }
  switch (storage) {
    LLMIR_ROW_KERNELS(F32);
    LLMIR_ROW_KERNELS(F16);
    LLMIR_ROW_KERNELS(BF16);
    LLMIR_ROW_KERNELS(F8E4M3FN);
    LLMIR_ROW_KERNELS(F8E5M2);
    LLMIR_ROW_KERNELS(I8);
    LLMIR_ROW_KERNELS(I4);
  }
#undef LLMIR_ROW_KERNELS
  return {};
}

template <typename Machine> RowKernels makeRowKernels(ElementType array, ElementType storage) {
  if (array == ElementType::F32)
    return makeRowKernels<Machine, ElementType::F32>(storage);
  if (array == ElementType::F16)
    return makeRowKernels<Machine, ElementType::F16>(storage);
  return makeRowKernels<Machine, ElementType::BF16>(storage);
}

} // namespace

#endif // LLMIR_LIB_CACHE_ROWLOOPS_H
