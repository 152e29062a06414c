// MemoryReader: reads a range of memory as fast as one thread can. Private to the library.

#ifndef LLMIR_LIB_BENCHMARK_MEMORYREADER_H
#define LLMIR_LIB_BENCHMARK_MEMORYREADER_H

#include <cstdint>

namespace llmir::benchmark {

/// What a range's size must be a multiple of: four streams of two lines.
constexpr int64_t kReadGranule = 512;

/// The combination of all 8-byte words of [data, data + bytes), by the widest loads of this host.
uint64_t readMemory(const uint8_t *data, int64_t bytes);

/// The same by portable code, for comparison in tests.
uint64_t readMemoryPortably(const uint8_t *data, int64_t bytes);

} // namespace llmir::benchmark

#endif // LLMIR_LIB_BENCHMARK_MEMORYREADER_H
