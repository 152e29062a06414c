// RandomStream: random numbers as a pure function of (seed, stream, counter), so that a request
// draws the same numbers whatever shares its batch and however often it is interrupted and resumed.
// Not for cryptography.

#ifndef LLMIR_BASE_RANDOMSTREAM_H
#define LLMIR_BASE_RANDOMSTREAM_H

#include <array>
#include <cstdint>

namespace llmir {

/// One block of Philox-4x32 with ten rounds: four random words of a counter and a key (Salmon et
/// al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011).
std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

/// The numbers of one request: `seed` is the user's, `stream` tells requests of one seed apart.
/// Copyable; has no state but its two numbers.
struct RandomStream {
  uint64_t seed = 0;
  uint64_t stream = 0;

  /// The `counter`-th number of the stream, uniform in [0, 1), with 53 random bits.
  double uniform(uint64_t counter) const;
};

} // namespace llmir

#endif // LLMIR_BASE_RANDOMSTREAM_H
