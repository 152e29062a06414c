// Philox-4x32-10 and the mapping of its words to numbers in [0, 1).

#include "llmir/Base/RandomStream.h"

namespace llmir {

static void philoxRound(std::array<uint32_t, 4> &counter, const std::array<uint32_t, 2> &key) {
  uint64_t first = uint64_t{0xD2511F53u} * counter[0];
  uint64_t second = uint64_t{0xCD9E8D57u} * counter[2];
  counter = {
      static_cast<uint32_t>(second >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(second),
      static_cast<uint32_t>(first >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(first)};
}

std::array<uint32_t, 4> philox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  constexpr int numRounds = 10;
  for (int round = 0; round < numRounds; ++round) {
    philoxRound(counter, key);
    key[0] += 0x9E3779B9u;
    key[1] += 0xBB67AE85u;
  }
  return counter;
}

double RandomStream::uniform(uint64_t counter) const {
  std::array<uint32_t, 4> words =
      philox({static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32),
              static_cast<uint32_t>(stream), static_cast<uint32_t>(stream >> 32)},
             {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
  uint64_t bits = (uint64_t{words[0]} << 32) | words[1];
  return static_cast<double>(bits >> 11) * 0x1.0p-53;
}

} // namespace llmir
