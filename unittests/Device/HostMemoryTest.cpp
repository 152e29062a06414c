// HostMemory: alignment, zeroed content, moves, refusal.

#include "llmir/Device/HostMemory.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>

using namespace llmir;

TEST(HostMemoryTest, IsAlignedZeroedAndWritable) {
  for (size_t bytes : {size_t(1), size_t(4097), HostMemory::alignment, size_t(5) << 20}) {
    StatusOr<HostMemory> memory = HostMemory::allocate(bytes);
    ASSERT_TRUE(memory.isOk()) << memory.status().message();
    EXPECT_EQ(memory->size(), bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % HostMemory::alignment, 0u);
    EXPECT_EQ(memory->data()[0], 0);
    EXPECT_EQ(memory->data()[bytes - 1], 0);
    memory->data()[0] = memory->data()[bytes - 1] = 7;
    EXPECT_EQ(memory->bytes().back(), 7);
  }
}

TEST(HostMemoryTest, OfNoBytesIsEmpty) {
  StatusOr<HostMemory> memory = HostMemory::allocate(0);
  ASSERT_TRUE(memory.isOk());
  EXPECT_EQ(memory->data(), nullptr);
  EXPECT_TRUE(memory->bytes().empty());
}

TEST(HostMemoryTest, MovesItsAddress) {
  HostMemory first = *HostMemory::allocate(100);
  uint8_t *address = first.data();
  HostMemory second = std::move(first);
  EXPECT_EQ(second.data(), address);
  HostMemory third = *HostMemory::allocate(200);
  third = std::move(second);
  EXPECT_EQ(third.data(), address);
  EXPECT_EQ(third.size(), 100u);
}

TEST(HostMemoryTest, RefusesImpossibleSizes) {
  for (size_t bytes : {size_t(1) << 60, std::numeric_limits<size_t>::max()}) {
    StatusOr<HostMemory> memory = HostMemory::allocate(bytes);
    ASSERT_FALSE(memory.isOk());
    EXPECT_EQ(memory.status().code(), StatusCode::ResourceExhausted);
    EXPECT_NE(memory.status().message().find(std::to_string(bytes)), std::string::npos);
  }
}
