// BandwidthProbe: reads a buffer in cache lines and combines the words, so that no read can be left
// out. Time runs from the start of a region to its end, worker 0's clock.

#include "llmir/Device/BandwidthProbe.h"

#include "llmir/Device/HostMemory.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>

namespace llmir {

namespace {

constexpr int64_t lineSize = 64;
constexpr int64_t numStreams = 4;

/// Two words that the compiler keeps in a vector register.
typedef uint64_t Words __attribute__((vector_size(16)));

/// The combination of all words of [data, data + bytes), a multiple of four lines. Several streams
/// side by side keep more reads in flight than one: a fifth more on a Zen 3.
uint64_t readLines(const uint8_t *data, int64_t bytes) {
  Words sums[numStreams] = {};
  int64_t stream = bytes / numStreams;
  for (int64_t offset = 0; offset < stream; offset += lineSize)
    for (int64_t i = 0; i < numStreams; ++i) {
      const auto *line = reinterpret_cast<const Words *>(data + i * stream + offset);
      sums[i] ^= line[0] ^ line[1] ^ line[2] ^ line[3];
    }
  Words sum = {};
  for (const Words &word : sums)
    sum ^= word;
  return sum[0] ^ sum[1];
}

} // namespace

StatusOr<double> probeReadBandwidth(WorkerTeam &team, const BandwidthProbeOptions &options) {
  if (options.bytes == 0 || options.passes < 1)
    return invalidArgument("expected a positive size and number of passes, but got " +
                           std::to_string(options.bytes) + " bytes and " +
                           std::to_string(options.passes) + " passes");
  int64_t granule = numStreams * lineSize;
  int64_t bytes = (int64_t(options.bytes) + granule - 1) / granule * granule;
  StatusOr<HostMemory> memory = HostMemory::allocate(static_cast<size_t>(bytes));
  if (!memory)
    return memory.status().withContext("bandwidth probe");

  std::atomic<uint64_t> sink{0};
  double best = 0;
  for (int32_t pass = 0; pass <= options.passes; ++pass) {
    auto start = std::chrono::steady_clock::now();
    team.run([&](int32_t worker) {
      WorkRange range = splitEvenly(bytes, granule, worker, team.size());
      uint8_t *data = memory->data() + range.begin;
      if (pass == 0)
        std::memset(data, worker + 1, static_cast<size_t>(range.end - range.begin));
      sink.fetch_xor(readLines(data, range.end - range.begin), std::memory_order_relaxed);
    });
    std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    if (pass > 0)
      best = std::max(best, double(bytes) / std::max(seconds.count(), 1e-9) / 1e9);
  }
  return best;
}

} // namespace llmir
