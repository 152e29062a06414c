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

using llmir::ConstStridedRows;
using llmir::ElementType;
using llmir::RowKernels;
using llmir::StridedRows;

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
LLMIR_INLINE void convertVector(const uint8_t *source, typename Machine::Float factor,
                                uint8_t *target) {
  writeNumbers<Machine, To>(target, readNumbers<Machine, From>(source) * factor);
}

/// Calls `convert(source, target)` for each vector of a row, the last one by way of buffers.
template <typename Machine, int64_t FromSize, int64_t ToSize, typename Convert>
LLMIR_INLINE void convertRow(const uint8_t *source, int64_t count, uint8_t *target,
                             Convert convert) {
  constexpr int64_t width = Machine::width;
  int64_t i = 0;
  for (; i + width <= count; i += width)
    convert(source + i * FromSize, target + i * ToSize);
  if (i == count)
    return;
  uint8_t from[width * 4] = {}, to[width * 4];
  std::memcpy(from, source + i * FromSize, static_cast<size_t>((count - i) * FromSize));
  convert(from, to);
  std::memcpy(target + i * ToSize, to, static_cast<size_t>((count - i) * ToSize));
}

/// target[r][i] = source[r][i] * factors[r].
template <typename Machine, ElementType From, ElementType To>
void convertRows(ConstStridedRows source, int64_t rows, int64_t count, const float *factors,
                 StridedRows target) {
  for (int64_t r = 0; r < rows; ++r) {
    auto factor = Machine::splat(factors[r]);
    convertRow<Machine, rowSize(From), rowSize(To)>(
        source.data + r * source.stride, count, target.data + r * target.stride,
        [factor](const uint8_t *from, uint8_t *to)
            __attribute__((always_inline)) { convertVector<Machine, From, To>(from, factor, to); });
  }
}

/// Bits of i4 codes, 0 to 15, of a vector of an array.
template <typename Machine, ElementType Array>
LLMIR_INLINE typename Machine::Bits nibbles(const uint8_t *data, typename Machine::Float factor) {
  return Machine::nearestIntegers(readNumbers<Machine, Array>(data) * factor, 7) + 8u;
}

template <typename Machine, ElementType Array>
void encodePairs(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                 const float *lowFactors, const float *highFactors, StridedRows codes) {
  for (int64_t r = 0; r < rows; ++r) {
    auto lowFactor = Machine::splat(lowFactors[r]), highFactor = Machine::splat(highFactors[r]);
    const uint8_t *lowRow = low.data + r * low.stride, *highRow = high.data + r * high.stride;
    uint8_t *to = codes.data + r * codes.stride;
    constexpr int64_t width = Machine::width, size = rowSize(Array);
    int64_t i = 0;
    for (; i + width <= count; i += width)
      Machine::narrow1(to + i, nibbles<Machine, Array>(lowRow + i * size, lowFactor) |
                                   nibbles<Machine, Array>(highRow + i * size, highFactor) << 4);
    if (i == count)
      continue;
    uint8_t first[width * 4] = {}, second[width * 4] = {}, packed[width];
    auto rest = static_cast<size_t>(count - i);
    std::memcpy(first, lowRow + i * size, rest * size);
    std::memcpy(second, highRow + i * size, rest * size);
    Machine::narrow1(packed, nibbles<Machine, Array>(first, lowFactor) |
                                 nibbles<Machine, Array>(second, highFactor) << 4);
    std::memcpy(to + i, packed, rest);
  }
}

template <typename Machine, ElementType Array>
void decodePairs(ConstStridedRows codes, int64_t rows, int64_t count, const float *lowFactors,
                 const float *highFactors, StridedRows low, StridedRows high) {
  for (int64_t r = 0; r < rows; ++r) {
    auto decode = [](uint8_t *to, typename Machine::Bits bits,
                     typename Machine::Float factor) __attribute__((always_inline)) {
      writeNumbers<Machine, Array>(to, Machine::integerValues(bits - 8u) * factor);
    };
    auto lowFactor = Machine::splat(lowFactors[r]), highFactor = Machine::splat(highFactors[r]);
    const uint8_t *from = codes.data + r * codes.stride;
    convertRow<Machine, 1, rowSize(Array)>(
        from, count, low.data + r * low.stride,
        [&](const uint8_t *packed, uint8_t *to) __attribute__((always_inline)) {
          decode(to, Machine::widen1(packed) & 0xfu, lowFactor);
        });
    convertRow<Machine, 1, rowSize(Array)>(
        from, count, high.data + r * high.stride,
        [&](const uint8_t *packed, uint8_t *to) __attribute__((always_inline)) {
          decode(to, Machine::widen1(packed) >> 4, highFactor);
        });
  }
}

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
  return Machine::template largestLane<Pattern>(&largest);
}

template <typename Machine, ElementType Array>
void maxMagnitudes(ConstStridedRows array, int64_t rows, int64_t count, float *largest) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t *row = array.data + r * array.stride;
    if constexpr (Array == ElementType::F32)
      largest[r] =
          __builtin_bit_cast(float, largestPattern<Machine, int32_t, 0x7f800000>(row, count));
    else if constexpr (Array == ElementType::BF16)
      largest[r] = __builtin_bit_cast(
          float, static_cast<uint32_t>(largestPattern<Machine, int16_t, 0x7f80>(row, count)) << 16);
    else
      largest[r] = Machine::halfValues(Machine::splatBits(
          static_cast<uint32_t>(largestPattern<Machine, int16_t, 0x7c00>(row, count))))[0];
  }
}

template <typename Machine, ElementType Array, ElementType Storage>
constexpr RowKernels kernelsFor() {
  RowKernels kernels = {maxMagnitudes<Machine, Array>, convertRows<Machine, Array, Storage>,
                        convertRows<Machine, Storage, Array>, nullptr, nullptr};
  if constexpr (Storage == ElementType::I4) {
    kernels.encodePairs = encodePairs<Machine, Array>;
    kernels.decodePairs = decodePairs<Machine, Array>;
  }
  return kernels;
}

/// By storage type.
template <typename Machine, ElementType Array>
constexpr RowKernels kernelTable[7] = {kernelsFor<Machine, Array, ElementType::F32>(),
                                       kernelsFor<Machine, Array, ElementType::F16>(),
                                       kernelsFor<Machine, Array, ElementType::BF16>(),
                                       kernelsFor<Machine, Array, ElementType::F8E4M3FN>(),
                                       kernelsFor<Machine, Array, ElementType::F8E5M2>(),
                                       kernelsFor<Machine, Array, ElementType::I8>(),
                                       kernelsFor<Machine, Array, ElementType::I4>()};

template <typename Machine>
const RowKernels &chooseRowKernels(ElementType array, ElementType storage) {
  auto index = static_cast<uint32_t>(storage);
  if (array == ElementType::F32)
    return kernelTable<Machine, ElementType::F32>[index];
  if (array == ElementType::F16)
    return kernelTable<Machine, ElementType::F16>[index];
  return kernelTable<Machine, ElementType::BF16>[index];
}

} // namespace

#endif // LLMIR_LIB_CACHE_ROWLOOPS_H
