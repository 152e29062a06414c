// RowLoops: the loops of RowKernels as templates over a Machine: how many numbers its vectors hold,
// and how it moves between numbers and narrower elements (NumberMoves.h). One source file for each
// instruction set instantiates them.

#ifndef LLMIR_LIB_CACHE_ROWLOOPS_H
#define LLMIR_LIB_CACHE_ROWLOOPS_H

#include "NumberMoves.h"
#include "RowKernels.h"
#include "ScaleLoops.h"

#include <cstring>

// What is here is compiled for instructions that not every host has: nothing may be merged with
// another file's.
namespace {

using llmir::factorElements;

/// The factors of one row: the same for all elements, or one for each `factorElements`.
template <typename Machine> struct RowFactor {
  typename Machine::Float factor;
  LLMIR_INLINE typename Machine::Float at(int64_t) const { return factor; }
};
template <typename Machine> struct GroupFactors {
  const float *const *factors;
  int64_t row;
  LLMIR_INLINE typename Machine::Float at(int64_t element) const {
    return Machine::splat(factors[element / factorElements][row]);
  }
};

/// target[i] = source[i] * factor.
template <typename Machine, ElementType From, ElementType To, typename Factors>
LLMIR_INLINE void convertRow(const uint8_t *source, int64_t count, Factors factors,
                             uint8_t *target) {
  int64_t done = 0;
  // Four vectors become one of bytes.
  if constexpr (Machine::narrowsFour && rowSize(To) == 1)
    for (constexpr int64_t width = 4 * Machine::width; done + width <= count; done += width) {
      auto numbers = [&](int64_t part) __attribute__((always_inline)) {
        int64_t at = done + part * Machine::width;
        return readNumbers<Machine, From>(source + at * rowSize(From)) * factors.at(at);
      };
      Machine::template writeFour<To>(target + done, numbers(0), numbers(1), numbers(2),
                                      numbers(3));
    }
  source += done * rowSize(From);
  target += done * rowSize(To);
  forVectors<Machine>(count - done, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    Padded<Machine> from(source + i * rowSize(From), n, rowSize(From));
    writeSome<Machine, To>(target + i * rowSize(To),
                           readNumbers<Machine, From>(from.data) * factors.at(done + i), n);
  });
}

/// target[r][i] = source[r][i] * factors[r].
template <typename Machine, ElementType From, ElementType To>
void convertRows(ConstStridedRows source, int64_t rows, int64_t count, const float *factors,
                 StridedRows target) {
  for (int64_t r = 0; r < rows; ++r)
    convertRow<Machine, From, To>(source.data + r * source.stride, count,
                                  RowFactor<Machine>{Machine::splat(factors[r])},
                                  target.data + r * target.stride);
}
template <typename Machine, ElementType From, ElementType To>
void convertGroups(ConstStridedRows source, int64_t rows, int64_t count,
                   const float *const *factors, StridedRows target) {
  for (int64_t r = 0; r < rows; ++r)
    convertRow<Machine, From, To>(source.data + r * source.stride, count,
                                  GroupFactors<Machine>{factors, r},
                                  target.data + r * target.stride);
}

/// Bytes of two i4 codes each.
template <typename Machine>
LLMIR_INLINE typename Machine::Bits pairsOf(typename Machine::Float low,
                                            typename Machine::Float high) {
  return codesOf<Machine, ElementType::I4>(low) | codesOf<Machine, ElementType::I4>(high) << 4;
}

template <typename Machine, ElementType Array, typename Factors>
LLMIR_INLINE void encodePairRow(const uint8_t *low, const uint8_t *high, int64_t count,
                                Factors lowFactors, Factors highFactors, uint8_t *codes) {
  constexpr int64_t size = rowSize(Array), width = Machine::width;
  int64_t done = 0;
  if constexpr (Machine::narrowsFour)
    for (; done + 4 * width <= count; done += 4 * width) {
      auto lows = [&](int64_t part) __attribute__((always_inline)) {
        int64_t at = done + part * width;
        return readNumbers<Machine, Array>(low + at * size) * lowFactors.at(at);
      };
      auto highs = [&](int64_t part) __attribute__((always_inline)) {
        int64_t at = done + part * width;
        return readNumbers<Machine, Array>(high + at * size) * highFactors.at(at);
      };
      Machine::writePairsOfFour(codes + done, lows, highs);
    }
  forVectors<Machine>(count - done, [&](int64_t i, int64_t n) __attribute__((always_inline)) {
    int64_t at = done + i;
    Padded<Machine> first(low + at * size, n, size), second(high + at * size, n, size);
    uint8_t packed[width];
    Machine::narrow1(
        packed, pairsOf<Machine>(readNumbers<Machine, Array>(first.data) * lowFactors.at(at),
                                 readNumbers<Machine, Array>(second.data) * highFactors.at(at)));
    std::memcpy(codes + at, packed, static_cast<size_t>(n));
  });
}

template <typename Machine, ElementType Array>
void encodePairs(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                 const float *lowFactors, const float *highFactors, StridedRows codes) {
  for (int64_t r = 0; r < rows; ++r)
    encodePairRow<Machine, Array>(low.data + r * low.stride, high.data + r * high.stride, count,
                                  RowFactor<Machine>{Machine::splat(lowFactors[r])},
                                  RowFactor<Machine>{Machine::splat(highFactors[r])},
                                  codes.data + r * codes.stride);
}
template <typename Machine, ElementType Array>
void encodePairGroups(ConstStridedRows low, ConstStridedRows high, int64_t rows, int64_t count,
                      const float *const *lowFactors, const float *const *highFactors,
                      StridedRows codes) {
  for (int64_t r = 0; r < rows; ++r)
    encodePairRow<Machine, Array>(low.data + r * low.stride, high.data + r * high.stride, count,
                                  GroupFactors<Machine>{lowFactors, r},
                                  GroupFactors<Machine>{highFactors, r},
                                  codes.data + r * codes.stride);
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

template <typename Machine, ElementType Array, ElementType Storage>
constexpr RowKernels kernelsFor() {
  RowKernels kernels = {};
  kernels.maxMagnitudes = maxMagnitudes<Machine, Array>;
  kernels.encode = convertRows<Machine, Array, Storage>;
  kernels.decode = convertRows<Machine, Storage, Array>;
  if constexpr (rowSize(Storage) == 1)
    kernels.encodeGroups = convertGroups<Machine, Array, Storage>;
  if constexpr (Storage == ElementType::I4) {
    kernels.encodePairs = encodePairs<Machine, Array>;
    kernels.encodePairGroups = encodePairGroups<Machine, Array>;
    kernels.decodePairs = decodePairs<Machine, Array>;
  }
  if constexpr (Array == ElementType::F32 && rowSize(Storage) > 1)
    kernels.makeScales = makeScales<Machine, Storage>;
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
