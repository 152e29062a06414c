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

/// The codes of a type of one or two bytes other than f16.
template <typename Machine, ElementType Type>
LLMIR_INLINE typename Machine::Bits codesOf(typename Machine::Float numbers) {
  if constexpr (Type == ElementType::BF16)
    return Machine::nearestBFloat16s(numbers);
  else if constexpr (Type == ElementType::F8E4M3FN)
    return Machine::nearestFloat8E4M3FNs(numbers);
  else if constexpr (Type == ElementType::F8E5M2)
    return Machine::nearestFloat8E5M2s(numbers);
  else if constexpr (Type == ElementType::I8)
    return Machine::nearestIntegers(numbers, 127) & 0xffu;
  else
    return Machine::nearestIntegers(numbers, 7) + 8u;
}

/// Stores a vector of numbers.
template <typename Machine, ElementType Type>
LLMIR_INLINE void writeNumbers(uint8_t *data, typename Machine::Float numbers) {
  if constexpr (Type == ElementType::F32)
    std::memcpy(data, &numbers, sizeof(numbers));
  else if constexpr (Type == ElementType::F16)
    Machine::writeHalves(data, numbers);
  else if constexpr (Type == ElementType::BF16)
    Machine::narrow2(data, codesOf<Machine, Type>(numbers));
  else
    Machine::narrow1(data, codesOf<Machine, Type>(numbers));
}

/// Calls `step(i, n)` for each n = Machine::width elements of a row of `count`, and in the end for
/// the rest.
template <typename Machine, typename Step> LLMIR_INLINE void forVectors(int64_t count, Step step) {
  int64_t i = 0;
  for (; i + Machine::width <= count; i += Machine::width)
    step(i, Machine::width);
  if (i < count)
    step(i, count - i);
}

/// `count` elements of `size` bytes, with zeros up to a vector if it is less.
template <typename Machine> struct Padded {
  LLMIR_INLINE Padded(const uint8_t *data, int64_t count, int64_t size) : data(data) {
    if (count == Machine::width)
      return;
    std::memset(bytes, 0, sizeof(bytes));
    std::memcpy(bytes, data, static_cast<size_t>(count * size));
    this->data = bytes;
  }
  const uint8_t *data;
  uint8_t bytes[Machine::width * 4];
};

template <typename Machine, ElementType To>
LLMIR_INLINE void writeSome(uint8_t *data, typename Machine::Float numbers, int64_t count) {
  if (count == Machine::width) {
    writeNumbers<Machine, To>(data, numbers);
    return;
  }
  uint8_t bytes[Machine::width * 4];
  writeNumbers<Machine, To>(bytes, numbers);
  std::memcpy(data, bytes, static_cast<size_t>(count * rowSize(To)));
}

/// target[i] = source[i] * factor.
template <typename Machine, ElementType From, ElementType To>
LLMIR_INLINE void convertRow(const uint8_t *source, int64_t count, float number, uint8_t *target) {
  auto factor = Machine::splat(number);
  int64_t done = 0;
  // Four vectors become one of bytes.
  if constexpr (Machine::narrowsFour && rowSize(To) == 1)
    for (constexpr int64_t width = 4 * Machine::width; done + width <= count; done += width) {
      auto codes = [&](int64_t part) __attribute__((always_inline)) {
        const uint8_t *from = source + (done + part * Machine::width) * rowSize(From);
        return codesOf<Machine, To>(readNumbers<Machine, From>(from) * factor);
      };
      Machine::narrow1(target + done, codes(0), codes(1), codes(2), codes(3));
    }
  source += done * rowSize(From);
  target += done * rowSize(To);
  forVectors<Machine>(count - done, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    Padded<Machine> from(source + i * rowSize(From), n, rowSize(From));
    writeSome<Machine, To>(target + i * rowSize(To), readNumbers<Machine, From>(from.data) * factor,
                           n);
  });
}

/// target[r][i] = source[r][i] * factors[r].
template <typename Machine, ElementType From, ElementType To>
void convertRows(ConstStridedRows source, int64_t rows, int64_t count, const float *factors,
                 StridedRows target) {
  for (int64_t r = 0; r < rows; ++r)
    convertRow<Machine, From, To>(source.data + r * source.stride, count, factors[r],
                                  target.data + r * target.stride);
}

/// Bytes of two i4 codes each, of two vectors of an array.
template <typename Machine, ElementType Array>
LLMIR_INLINE typename Machine::Bits pairsOf(const uint8_t *low, const uint8_t *high,
                                            typename Machine::Float lowFactor,
                                            typename Machine::Float highFactor) {
  return codesOf<Machine, ElementType::I4>(readNumbers<Machine, Array>(low) * lowFactor) |
         codesOf<Machine, ElementType::I4>(readNumbers<Machine, Array>(high) * highFactor) << 4;
}

template <typename Machine, ElementType Array>
void encodePairs(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                 const float *lowFactors, const float *highFactors, StridedRows codes) {
  constexpr int64_t size = rowSize(Array), width = Machine::width;
  for (int64_t r = 0; r < rows; ++r) {
    auto lowFactor = Machine::splat(lowFactors[r]), highFactor = Machine::splat(highFactors[r]);
    const uint8_t *lowRow = low.data + r * low.stride, *highRow = high.data + r * high.stride;
    uint8_t *to = codes.data + r * codes.stride;
    int64_t done = 0;
    if constexpr (Machine::narrowsFour)
      for (; done + 4 * width <= count; done += 4 * width) {
        auto pairs = [&](int64_t part) __attribute__((always_inline)) {
          int64_t at = (done + part * width) * size;
          return pairsOf<Machine, Array>(lowRow + at, highRow + at, lowFactor, highFactor);
        };
        Machine::narrow1(to + done, pairs(0), pairs(1), pairs(2), pairs(3));
      }
    forVectors<Machine>(count - done, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      Padded<Machine> first(lowRow + (done + i) * size, n, size);
      Padded<Machine> second(highRow + (done + i) * size, n, size);
      uint8_t packed[width];
      Machine::narrow1(packed,
                       pairsOf<Machine, Array>(first.data, second.data, lowFactor, highFactor));
      std::memcpy(to + done + i, packed, static_cast<size_t>(n));
    });
  }
}

template <typename Machine, ElementType Array>
void decodePairs(ConstStridedRows codes, int64_t rows, int64_t count, const float *lowFactors,
                 const float *highFactors, StridedRows low, StridedRows high) {
  constexpr int64_t size = rowSize(Array);
  for (int64_t r = 0; r < rows; ++r) {
    auto lowFactor = Machine::splat(lowFactors[r]), highFactor = Machine::splat(highFactors[r]);
    const uint8_t *from = codes.data + r * codes.stride;
    forVectors<Machine>(count, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
      Padded<Machine> packed(from + i, n, 1);
      auto bits = Machine::widen1(packed.data);
      writeSome<Machine, Array>(low.data + r * low.stride + i * size,
                                Machine::integerValues((bits & 0xfu) - 8u) * lowFactor, n);
      writeSome<Machine, Array>(high.data + r * high.stride + i * size,
                                Machine::integerValues((bits >> 4) - 8u) * highFactor, n);
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

/// The largest bit pattern without its sign, of those up to `Limit`; patterns are in the order of
/// magnitudes.
template <typename Machine, typename Pattern, Pattern Limit>
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

/// The same, without NaNs, which are above `Infinity` and seldom there.
template <typename Machine, typename Pattern, Pattern Infinity>
LLMIR_INLINE Pattern largestNumber(const uint8_t *array, int64_t count) {
  constexpr Pattern magnitudeMask = sizeof(Pattern) == 2 ? 0x7fff : 0x7fffffff;
  Pattern largest = largestPattern<Machine, Pattern, magnitudeMask>(array, count);
  return largest <= Infinity ? largest : largestPattern<Machine, Pattern, Infinity>(array, count);
}

template <typename Machine, ElementType Array>
void maxMagnitudes(ConstStridedRows array, int64_t rows, int64_t count, float *largest) {
  for (int64_t r = 0; r < rows; ++r) {
    const uint8_t *row = array.data + r * array.stride;
    uint32_t bits;
    if constexpr (Array == ElementType::F32)
      bits = static_cast<uint32_t>(largestNumber<Machine, int32_t, 0x7f800000>(row, count));
    else if constexpr (Array == ElementType::BF16)
      bits = static_cast<uint32_t>(largestNumber<Machine, int16_t, 0x7f80>(row, count)) << 16;
    else
      bits = static_cast<uint32_t>(largestNumber<Machine, int16_t, 0x7c00>(row, count));
    largest[r] = __builtin_bit_cast(float, bits);
  }
  if constexpr (Array == ElementType::F16) {
    int64_t r = 0;
    for (; r + Machine::width <= rows; r += Machine::width) {
      typename Machine::Bits bits;
      std::memcpy(&bits, largest + r, sizeof(bits));
      writeNumbers<Machine, ElementType::F32>(reinterpret_cast<uint8_t *>(largest + r),
                                              Machine::halfValues(bits));
    }
    // One at a time: often there is only one.
    for (; r < rows; ++r)
      largest[r] =
          Machine::halfValues(Machine::splatBits(__builtin_bit_cast(uint32_t, largest[r])))[0];
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
