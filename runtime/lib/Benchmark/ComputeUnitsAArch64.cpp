// The units of AArch64, as ComputeUnits.cpp has those of x86: independent sums in registers.

#include "ComputeUnits.h"

#if defined(__aarch64__)

#include <arm_neon.h>

namespace llmir::benchmark {

namespace {

/// Sums in flight: four units of four cycles' latency.
constexpr int kSums = 16;

/// Adds to every sum in turn, so many times.
template <typename Vector, typename Add> inline void addInTurn(int64_t iterations, Add add) {
  Vector sums[kSums] = {};
  for (int64_t i = 0; i < iterations; ++i)
#pragma GCC unroll 16
    for (Vector &sum : sums)
      add(sum);
}

void runFMA128(int64_t iterations) {
  float32x4_t a = vdupq_n_f32(1e-3f);
  addInTurn<float32x4_t>(iterations, [&](float32x4_t &sum) {
    sum = vfmaq_f32(sum, a, a);
    asm volatile("" : "+w"(sum));
  });
}

// By instruction, which the assembler takes for itself: the loops around are of the base.

void runDot128(int64_t iterations) {
  int8x16_t a = vdupq_n_s8(3);
  addInTurn<int32x4_t>(iterations, [&](int32x4_t &sum) {
    asm volatile(".arch armv8.6-a\n\tsdot %0.4s, %1.16b, %1.16b" : "+w"(sum) : "w"(a));
  });
}

void runMatrix128(int64_t iterations) {
  int8x16_t a = vdupq_n_s8(3);
  addInTurn<int32x4_t>(iterations, [&](int32x4_t &sum) {
    asm volatile(".arch armv8.6-a\n\tsmmla %0.4s, %1.16b, %1.16b" : "+w"(sum) : "w"(a));
  });
}

void runBF16Dots128(int64_t iterations) {
  uint16x8_t a = vdupq_n_u16(0x3a83); // 1e-3
  addInTurn<float32x4_t>(iterations, [&](float32x4_t &sum) {
    asm volatile(".arch armv8.6-a\n\tbfdot %0.4s, %1.8h, %1.8h" : "+w"(sum) : "w"(a));
  });
}

void runBF16Matrix128(int64_t iterations) {
  uint16x8_t a = vdupq_n_u16(0x3a83);
  addInTurn<float32x4_t>(iterations, [&](float32x4_t &sum) {
    asm volatile(".arch armv8.6-a\n\tbfmmla %0.4s, %1.8h, %1.8h" : "+w"(sum) : "w"(a));
  });
}

} // namespace

std::span<const ComputeUnit> computeUnits() {
  // Products of an instruction, twice: a multiplication and an addition.
  static const ComputeUnit units[] = {
      {"f32 FMA, 128 bits", {"neon"}, int64_t{kSums} * 4 * 2, runFMA128},
      {"int8 sdot, 128 bits", {"dotprod"}, int64_t{kSums} * 16 * 2, runDot128},
      {"int8 smmla, 128 bits", {"i8mm"}, int64_t{kSums} * 32 * 2, runMatrix128},
      {"bf16 dots, 128 bits", {"bf16"}, int64_t{kSums} * 8 * 2, runBF16Dots128},
      {"bf16 matrices, 128 bits", {"bf16"}, int64_t{kSums} * 16 * 2, runBF16Matrix128},
  };
  return units;
}

} // namespace llmir::benchmark

#endif
