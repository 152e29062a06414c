// RowKernels: the choice of instructions, and the conversions for those that every host has.

#include "RowKernels.h"

#include "RowLoops.h"
#include "llmir/Device/CPUFeatures.h"

namespace llmir {

namespace {

/// Vectors of 16 bytes and what a compiler makes of them.
struct BaselineMachine : Numbers<4> {
  static constexpr int64_t width = 4;
  static constexpr bool narrowsFour = false;

  typedef uint8_t Bytes __attribute__((vector_size(4)));
  typedef uint16_t Pairs __attribute__((vector_size(8)));

  LLMIR_INLINE static Bits widen1(const uint8_t *data) {
    Bytes bytes;
    std::memcpy(&bytes, data, sizeof(bytes));
    return __builtin_convertvector(bytes, Bits);
  }
  LLMIR_INLINE static Bits widen2(const uint8_t *data) {
    Pairs pairs;
    std::memcpy(&pairs, data, sizeof(pairs));
    return __builtin_convertvector(pairs, Bits);
  }
  LLMIR_INLINE static void narrow1(uint8_t *data, Bits bits) {
    Bytes bytes = __builtin_convertvector(bits, Bytes);
    std::memcpy(data, &bytes, sizeof(bytes));
  }
  LLMIR_INLINE static void narrow2(uint8_t *data, Bits bits) {
    Pairs pairs = __builtin_convertvector(bits, Pairs);
    std::memcpy(data, &pairs, sizeof(pairs));
  }
  LLMIR_INLINE static Float readHalves(const uint8_t *data) { return halfValues(widen2(data)); }
  LLMIR_INLINE static void writeHalves(uint8_t *data, Float numbers) {
    narrow2(data, nearestHalves(numbers));
  }
  template <typename Lane> LLMIR_INLINE static Lane largestLane(const void *lanes) {
    return largestOf16Bytes<Lane>(lanes);
  }
};

} // namespace

const RowKernels &baselineRowKernels(ElementType array, ElementType storage) {
  return chooseRowKernels<BaselineMachine>(array, storage);
}

const RowKernels &rowKernels(ElementType array, ElementType storage) {
#if defined(__x86_64__)
  static const bool hasAVX2 = CPUFeatures::host().has("avx2") && CPUFeatures::host().has("f16c");
  if (hasAVX2)
    return avx2RowKernels(array, storage);
#endif
  return baselineRowKernels(array, storage);
}

} // namespace llmir
