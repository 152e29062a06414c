// Every byte of a range is read, whatever loads the host has: one changed bit changes the result.

#include "MemoryReader.h"

#include "llmir/Device/HostMemory.h"

#include <gtest/gtest.h>

#include <cstring>
#include <random>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

/// The definition: all words of 8 bytes, combined.
uint64_t combine(const uint8_t *data, int64_t bytes) {
  uint64_t sum = 0;
  for (int64_t offset = 0; offset < bytes; offset += 8) {
    uint64_t word;
    std::memcpy(&word, data + offset, 8);
    sum ^= word;
  }
  return sum;
}

} // namespace

TEST(MemoryReaderTest, ReadsEveryWord) {
  StatusOr<HostMemory> memory = HostMemory::allocate(16 * kReadGranule);
  ASSERT_TRUE(memory.isOk());
  std::mt19937 random(5);
  for (uint8_t &byte : memory->bytes())
    byte = static_cast<uint8_t>(random());
  for (int64_t granules : {0, 1, 2, 3, 7, 16}) {
    int64_t bytes = granules * kReadGranule;
    EXPECT_EQ(readMemory(memory->data(), bytes), combine(memory->data(), bytes)) << bytes;
    EXPECT_EQ(readMemoryPortably(memory->data(), bytes), combine(memory->data(), bytes)) << bytes;
  }
  int64_t bytes = 3 * kReadGranule;
  uint64_t before = readMemory(memory->data(), bytes);
  for (int64_t byte = 0; byte < bytes; ++byte) {
    memory->data()[byte] ^= 1;
    ASSERT_NE(readMemory(memory->data(), bytes), before) << "byte " << byte;
    memory->data()[byte] ^= 1;
  }
}
