// Four streams side by side, which keep more reads in flight than one, in vectors of 32 or 64
// bytes; the words are combined by exclusive or, so that no read can be left out.

#include "MemoryReader.h"

#include "llmir/Device/CPUFeatures.h"

#include <cstring>

namespace llmir::benchmark {

namespace {

constexpr int64_t kStreams = 4;
constexpr int64_t kLine = 64;

typedef uint64_t Words16 __attribute__((vector_size(16), aligned(16)));
typedef uint64_t Words32 __attribute__((vector_size(32), aligned(32)));
typedef uint64_t Words64 __attribute__((vector_size(64), aligned(64)));

/// Inlined into functions for several targets, which decide what a vector is.
template <typename Words>
[[gnu::always_inline]] inline uint64_t readStreams(const uint8_t *data, int64_t bytes) {
  constexpr int64_t kSteps = 2 * kLine / int64_t{sizeof(Words)};
  Words sums[kStreams * kSteps] = {};
  int64_t stream = bytes / kStreams;
  for (int64_t offset = 0; offset < stream; offset += 2 * kLine)
    for (int64_t s = 0; s < kStreams; ++s)
      for (int64_t step = 0; step < kSteps; ++step)
        sums[s * kSteps + step] ^= *reinterpret_cast<const Words *>(data + s * stream + offset +
                                                                    step * int64_t{sizeof(Words)});
  Words sum = {};
  for (const Words &words : sums)
    sum ^= words;
  uint64_t result = 0;
  for (size_t lane = 0; lane < sizeof(Words) / sizeof(uint64_t); ++lane)
    result ^= sum[lane];
  return result;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t readAVX2(const uint8_t *data, int64_t bytes) {
  return readStreams<Words32>(data, bytes);
}
__attribute__((target("avx512f"))) uint64_t readAVX512(const uint8_t *data, int64_t bytes) {
  return readStreams<Words64>(data, bytes);
}
#endif

using Reader = uint64_t (*)(const uint8_t *, int64_t);

Reader chooseReader() {
#if defined(__x86_64__)
  if (CPUFeatures::host().has("avx512f"))
    return readAVX512;
  if (CPUFeatures::host().has("avx2"))
    return readAVX2;
#endif
  return readMemoryPortably;
}

} // namespace

uint64_t readMemoryPortably(const uint8_t *data, int64_t bytes) {
  return readStreams<Words16>(data, bytes);
}

uint64_t readMemory(const uint8_t *data, int64_t bytes) {
  static const Reader reader = chooseReader();
  return reader(data, bytes);
}

} // namespace llmir::benchmark
