// ScaleLoops: the largest magnitudes of rows, and the scales that follow from them, as templates
// over a Machine (RowLoops.h). Internal to the cache.

#ifndef LLMIR_LIB_CACHE_SCALELOOPS_H
#define LLMIR_LIB_CACHE_SCALELOOPS_H

#include "NumberMoves.h"

#include <cstring>

namespace {

/// The largest of 16 bytes of lanes, by halves.
template <typename Lane> LLMIR_INLINE Lane largestOf16Bytes(const void *data) {
  constexpr int count = 16 / int(sizeof(Lane));
  Lane lanes[count];
  std::memcpy(lanes, data, sizeof(lanes));
  for (int half = count / 2; half > 0; half /= 2)
    for (int lane = 0; lane < half; ++lane)
      lanes[lane] = lanes[lane] > lanes[lane + half] ? lanes[lane] : lanes[lane + half];
  return lanes[0];
}

/// The largest bit pattern without its sign, of those up to `Limit`; patterns are in the order of
/// magnitudes. `Count` is that of the elements, or 0 for `count` of them.
template <typename Machine, typename Pattern, Pattern Limit, int64_t Count = 0>
LLMIR_INLINE Pattern largestPattern(const uint8_t *array, int64_t count) {
  constexpr int64_t width = Machine::width * 4 / int64_t(sizeof(Pattern));
  constexpr Pattern magnitudeMask = sizeof(Pattern) == 2 ? 0x7fff : 0x7fffffff;
  typedef Pattern Vector __attribute__((vector_size(Machine::width * 4)));
  Vector largest{};
  auto add = [&largest](const uint8_t *data) __attribute__((always_inline)) {
    Vector bits;
    std::memcpy(&bits, data, sizeof(bits));
    bits &= magnitudeMask;
    if constexpr (Limit < magnitudeMask)
      bits &= reinterpret_cast<Vector>(bits <= Limit);
    Vector isLarger = reinterpret_cast<Vector>(bits > largest);
    largest = (bits & isLarger) | (largest & ~isLarger);
  };
  if constexpr (Count > 0) {
    static_assert(Count % width == 0);
#pragma GCC unroll 32
    for (int64_t i = 0; i < Count; i += width)
      add(array + i * int64_t(sizeof(Pattern)));
  } else {
    int64_t i = 0;
    for (; i + width <= count; i += width)
      add(array + i * int64_t(sizeof(Pattern)));
    if (i < count) {
      uint8_t rest[sizeof(Vector)] = {};
      std::memcpy(rest, array + i * int64_t(sizeof(Pattern)),
                  static_cast<size_t>(count - i) * sizeof(Pattern));
      add(rest);
    }
  }
  return Machine::template largestLane<Pattern>(&largest);
}

/// patterns[r] = the same of row r, without NaNs, which are above `Infinity` and seldom there.
template <typename Machine, typename Pattern, Pattern Infinity, int64_t Count = 0>
LLMIR_INLINE void largestNumbers(ConstStridedRows array, int64_t rows, int64_t count,
                                 float *patterns) {
  constexpr Pattern magnitudeMask = sizeof(Pattern) == 2 ? 0x7fff : 0x7fffffff;
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t *row = array.data + r * array.stride;
    Pattern largest = largestPattern<Machine, Pattern, magnitudeMask, Count>(row, count);
    if (largest > Infinity)
      largest = largestPattern<Machine, Pattern, Infinity>(row, count);
    patterns[r] = __builtin_bit_cast(float, static_cast<uint32_t>(largest));
  }
}

/// A number in a register of its own, whatever the compiler would like to read beside it.
LLMIR_INLINE uint32_t alone(const float *pattern) {
  auto bits = __builtin_bit_cast(uint32_t, *pattern);
  asm("" : "+r"(bits));
  return bits;
}

/// A vector of the `count` patterns, or as many as it holds, from `patterns` on. They were stored
/// one by one: a vector that is read from several stores has to wait until they are in the cache,
/// and there they queue behind what is stored in blocks.
template <typename Machine>
LLMIR_INLINE typename Machine::Bits gatherPatterns(const float *patterns, int64_t count) {
  typename Machine::Bits bits{};
  if (count == 1) {
    bits[0] = alone(patterns);
    return bits;
  }
#pragma GCC unroll 8
  for (int lane = 0; lane < Machine::width; ++lane)
    if (lane < count)
      bits[lane] = alone(patterns + lane);
  return bits;
}

/// The values of `rows` patterns and whatever is behind, up to a vector.
template <typename Machine, ElementType Array>
LLMIR_INLINE void readPatterns(float *patterns, int64_t rows) {
  for (int64_t r = 0; r < rows; r += Machine::width) {
    typename Machine::Bits bits = gatherPatterns<Machine>(patterns + r, rows - r);
    typename Machine::Float numbers;
    if constexpr (Array == ElementType::F32)
      numbers = Machine::number(bits);
    else if constexpr (Array == ElementType::F16)
      numbers = Machine::halfValues(bits);
    else
      numbers = Machine::bfloat16Values(bits);
    std::memcpy(patterns + r, &numbers, sizeof(numbers));
  }
}

template <typename Machine, ElementType Array>
void maxMagnitudes(ConstStridedRows array, int64_t rows, int64_t count, float *largest) {
  auto find = [&]<int64_t Count>() __attribute__((always_inline)) {
    if constexpr (Array == ElementType::F32)
      largestNumbers<Machine, int32_t, 0x7f800000, Count>(array, rows, count, largest);
    else if constexpr (Array == ElementType::BF16)
      largestNumbers<Machine, int16_t, 0x7f80, Count>(array, rows, count, largest);
    else
      largestNumbers<Machine, int16_t, 0x7c00, Count>(array, rows, count, largest);
  };
  // Rows are short: a loop over each would cost more than what is done in it.
  if (count == 64)
    find.template operator()<64>();
  else if (count == 128)
    find.template operator()<128>();
  else if (count == 16)
    find.template operator()<16>();
  else
    find.template operator()<0>();
  readPatterns<Machine, Array>(largest, rows);
}

/// The scales of groups, their largest magnitudes being known: see RowKernels.
template <typename Machine, ElementType Scale>
void makeScales(const float *largest, int64_t count, float code, uint8_t *stored, float *inverses) {
  using Float = typename Machine::Float;
  using Bits = typename Machine::Bits;
  for (int64_t i = 0; i < count; i += Machine::width) {
    Float scales;
    std::memcpy(&scales, largest + i, sizeof(scales));
    scales /= Machine::splat(code);
    if constexpr (Scale == ElementType::F16) {
      Bits isLarge = reinterpret_cast<Bits>(scales > Machine::splat(65504));
      scales = Machine::number(
          Machine::select(isLarge, Machine::bits(Machine::splat(65504)), Machine::bits(scales)));
    }
    uint8_t *to = stored + i * rowSize(Scale);
    writeNumbers<Machine, Scale>(to, scales);
    scales = readNumbers<Machine, Scale>(to);
    Bits isPositive = reinterpret_cast<Bits>(scales > Machine::splat(0));
    Float inverse = Machine::number(Machine::bits(Machine::splat(1) / scales) & isPositive);
    std::memcpy(inverses + i, &inverse, sizeof(inverse));
  }
}

} // namespace

#endif // LLMIR_LIB_CACHE_SCALELOOPS_H
