// The checkpoint reader over thousands of damaged manifests and catalogs, without libFuzzer: the
// same entry point, inputs made by seeded mutation.

#include "CheckpointFuzz.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace llmir;

namespace {

/// Values that break things where a number is expected.
constexpr uint64_t interesting[] = {0,
                                    1,
                                    2,
                                    127,
                                    255,
                                    0x7fffffff,
                                    0xffffffff,
                                    uint64_t(1) << 32,
                                    1ULL << 48,
                                    1ULL << 62,
                                    ~uint64_t(0),
                                    uint64_t(1) << 63};

void mutate(std::vector<uint8_t> &bytes, std::mt19937 &random) {
  constexpr size_t header = 41; // Flags and the file's header.
  auto position = [&] {
    size_t first = random() % 8 == 0 || bytes.size() <= header ? 0 : header;
    return first + random() % (bytes.size() - first);
  };
  switch (random() % 6) {
  case 0:
    bytes[position()] ^= static_cast<uint8_t>(1u << random() % 8);
    break;
  case 1:
    bytes[position()] = static_cast<uint8_t>(random());
    break;
  case 2: {
    uint64_t value = interesting[random() % std::size(interesting)];
    size_t at = position(), width = random() % 2 == 0 ? 4 : 8;
    std::memcpy(bytes.data() + at, &value, std::min(width, bytes.size() - at));
    break;
  }
  case 3:
    bytes.resize(1 + position());
    break;
  case 4: {
    auto at = static_cast<ptrdiff_t>(position());
    std::vector<uint8_t> copy(
        bytes.begin() + at,
        bytes.begin() + at + std::min<ptrdiff_t>(40, static_cast<ptrdiff_t>(bytes.size()) - at));
    bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(position()), copy.begin(), copy.end());
    break;
  }
  default: {
    auto at = static_cast<ptrdiff_t>(position());
    auto count = std::min<ptrdiff_t>(1 + random() % 16, static_cast<ptrdiff_t>(bytes.size()) - at);
    bytes.erase(bytes.begin() + at, bytes.begin() + at + count);
    break;
  }
  }
}

TEST(CheckpointFuzzTest, SeedsAreIntact) {
  std::vector<std::vector<uint8_t>> seeds = checkpointFuzzSeeds();
  EXPECT_GE(seeds.size(), 6u);
  for (const std::vector<uint8_t> &seed : seeds)
    fuzzCheckpoint(seed);
}

TEST(CheckpointFuzzTest, MutatedManifestsAndCatalogs) {
  std::vector<std::vector<uint8_t>> seeds = checkpointFuzzSeeds();
  std::mt19937 random(20);
  for (int run = 0; run < 6000; ++run) {
    std::vector<uint8_t> input = seeds[random() % seeds.size()];
    for (uint32_t i = 0, count = 1 + random() % 4; i < count && !input.empty(); ++i)
      mutate(input, random);
    fuzzCheckpoint(input);
  }
}

} // namespace
