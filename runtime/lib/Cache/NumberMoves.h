// NumberMoves: vectors of numbers from and to rows of elements of any type, whole or in part, as
// templates over a Machine (RowLoops.h). Internal to the cache.

#ifndef LLMIR_LIB_CACHE_NUMBERMOVES_H
#define LLMIR_LIB_CACHE_NUMBERMOVES_H

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

} // namespace

#endif // LLMIR_LIB_CACHE_NUMBERMOVES_H
