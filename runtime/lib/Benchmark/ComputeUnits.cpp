// Loops over independent sums, as many as hide a unit's latency, with operands that stay in
// registers: what is left is the unit's rate. The empty asm statements keep the compiler from
// merging or dropping iterations; they emit nothing.

#include "ComputeUnits.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace llmir::benchmark {

#if defined(__x86_64__)

namespace {

/// Sums in flight: two units of four to five cycles' latency, and room.
constexpr int kSums = 12;

__attribute__((target("avx2,fma"))) void runFMA256(int64_t iterations) {
  __m256 sums[kSums];
  __m256 a = _mm256_set1_ps(1e-3f), b = _mm256_set1_ps(1e-3f);
  for (__m256 &sum : sums)
    sum = _mm256_setzero_ps();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m256 &sum : sums) {
      sum = _mm256_fmadd_ps(a, b, sum);
      asm volatile("" : "+x"(sum));
    }
}

__attribute__((target("avx2"))) void runMaddubs256(int64_t iterations) {
  constexpr int kMaddubsSums = 8;
  __m256i sums[kMaddubsSums];
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5), ones = _mm256_set1_epi16(1);
  for (__m256i &sum : sums)
    sum = _mm256_setzero_si256();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m256i &sum : sums) {
      __m256i pairs = _mm256_maddubs_epi16(a, b);
      asm volatile("" : "+x"(pairs));
      sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones));
      asm volatile("" : "+x"(sum));
    }
}

__attribute__((target("avx2,avxvnni"))) void runVNNI256(int64_t iterations) {
  __m256i sums[kSums];
  __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(-5);
  for (__m256i &sum : sums)
    sum = _mm256_setzero_si256();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m256i &sum : sums) {
      sum = _mm256_dpbusd_avx_epi32(sum, a, b);
      asm volatile("" : "+x"(sum));
    }
}

__attribute__((target("avx512f"))) void runFMA512(int64_t iterations) {
  __m512 sums[kSums];
  __m512 a = _mm512_set1_ps(1e-3f), b = _mm512_set1_ps(1e-3f);
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_fmadd_ps(a, b, sum);
      asm volatile("" : "+v"(sum));
    }
}

__attribute__((target("avx512f,avx512vnni"))) void runVNNI512(int64_t iterations) {
  __m512i sums[kSums];
  __m512i a = _mm512_set1_epi32(0x03030303), b = _mm512_set1_epi32(0x05050505);
  for (__m512i &sum : sums)
    sum = _mm512_setzero_si512();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m512i &sum : sums) {
      sum = _mm512_dpbusd_epi32(sum, a, b);
      asm volatile("" : "+v"(sum));
    }
}

__attribute__((target("avx512f,avx512bf16"))) void runBF16Dots512(int64_t iterations) {
  __m512 sums[kSums];
  __m512 thousandth = _mm512_set1_ps(1e-3f);
  __m512bh a = _mm512_cvtne2ps_pbh(thousandth, thousandth), b = a;
  for (__m512 &sum : sums)
    sum = _mm512_setzero_ps();
  for (int64_t i = 0; i < iterations; ++i)
    for (__m512 &sum : sums) {
      sum = _mm512_dpbf16_ps(sum, a, b);
      asm volatile("" : "+v"(sum));
    }
}

/// The layout that ldtilecfg reads (Intel SDM, volume 1, 18.1): eight tiles of 16 rows of 64 bytes.
struct alignas(64) TileConfiguration {
  uint8_t palette = 1;
  uint8_t startRow = 0;
  uint8_t reserved[14] = {};
  uint16_t columnBytes[16] = {64, 64, 64, 64, 64, 64, 64, 64};
  uint8_t rows[16] = {16, 16, 16, 16, 16, 16, 16, 16};
};

// Statements: g++ makes them of asm, and of the digits that it is given.
#define LLMIR_ZERO_TILES()                                                                         \
  do {                                                                                             \
    _tile_zero(0);                                                                                 \
    _tile_zero(1);                                                                                 \
    _tile_zero(2);                                                                                 \
    _tile_zero(3);                                                                                 \
    _tile_zero(4);                                                                                 \
    _tile_zero(5);                                                                                 \
    _tile_zero(6);                                                                                 \
    _tile_zero(7);                                                                                 \
  } while (false)

__attribute__((target("amx-tile,amx-int8"))) void runAMXInt8(int64_t iterations) {
  TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  LLMIR_ZERO_TILES();
  for (int64_t i = 0; i < iterations; ++i) {
    _tile_dpbssd(0, 4, 6);
    _tile_dpbssd(1, 4, 7);
    _tile_dpbssd(2, 5, 6);
    _tile_dpbssd(3, 5, 7);
  }
  _tile_release();
}

__attribute__((target("amx-tile,amx-bf16"))) void runAMXBF16(int64_t iterations) {
  TileConfiguration configuration;
  _tile_loadconfig(&configuration);
  LLMIR_ZERO_TILES();
  for (int64_t i = 0; i < iterations; ++i) {
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  _tile_release();
}

} // namespace

std::span<const ComputeUnit> computeUnits() {
  // Products of a vector, twice: a multiplication and an addition.
  static const ComputeUnit units[] = {
      {"f32 FMA, 256 bits", {"avx2", "fma"}, int64_t{kSums} * 8 * 2, runFMA256},
      {"f32 FMA, 512 bits", {"avx512f"}, int64_t{kSums} * 16 * 2, runFMA512},
      {"int8 maddubs, 256 bits", {"avx2"}, int64_t{8} * 32 * 2, runMaddubs256},
      {"int8 VNNI, 256 bits", {"avx2", "avxvnni"}, int64_t{kSums} * 32 * 2, runVNNI256},
      {"int8 VNNI, 512 bits", {"avx512f", "avx512vnni"}, int64_t{kSums} * 64 * 2, runVNNI512},
      {"bf16 dots, 512 bits", {"avx512f", "avx512bf16"}, int64_t{kSums} * 32 * 2, runBF16Dots512},
      {"int8 AMX tiles", {"amx-tile", "amx-int8"}, int64_t{4} * 16 * 16 * 64 * 2, runAMXInt8},
      {"bf16 AMX tiles", {"amx-tile", "amx-bf16"}, int64_t{4} * 16 * 16 * 32 * 2, runAMXBF16},
  };
  return units;
}

#elif !defined(__aarch64__) // which ComputeUnitsAArch64.cpp is for

std::span<const ComputeUnit> computeUnits() { return {}; }

#endif

} // namespace llmir::benchmark
