// The probe's units: what each counts as operations, and that those of this host run.

#include "ComputeUnits.h"

#include "llmir/Device/CPUFeatures.h"

#include <gtest/gtest.h>

#include <set>

using namespace llmir;
using namespace llmir::benchmark;

TEST(ComputeUnitsTest, HaveNamesFeaturesAndOperations) {
  std::set<std::string> names;
  for (const ComputeUnit &unit : computeUnits()) {
    EXPECT_TRUE(names.insert(unit.name).second) << unit.name << " twice";
    EXPECT_FALSE(unit.features.empty()) << unit.name;
    EXPECT_GT(unit.operationsPerIteration, 0) << unit.name;
    ASSERT_NE(unit.run, nullptr) << unit.name;
  }
#if defined(__x86_64__)
  EXPECT_EQ(names.size(), 8u);
#endif
}

TEST(ComputeUnitsTest, CountTwoOperationsAProduct) {
  // By hand: twelve sums of so many products; tiles of 16 x 16 sums of 64 bytes.
  for (const ComputeUnit &unit : computeUnits()) {
    std::string name = unit.name;
    if (name == "f32 FMA, 256 bits")
      EXPECT_EQ(unit.operationsPerIteration, 12 * 8 * 2);
    else if (name == "int8 VNNI, 512 bits")
      EXPECT_EQ(unit.operationsPerIteration, 12 * 64 * 2);
    else if (name == "bf16 dots, 512 bits")
      EXPECT_EQ(unit.operationsPerIteration, 12 * 32 * 2);
    else if (name == "int8 AMX tiles")
      EXPECT_EQ(unit.operationsPerIteration, 131072);
    else if (name == "bf16 AMX tiles")
      EXPECT_EQ(unit.operationsPerIteration, 65536);
  }
}

TEST(ComputeUnitsTest, RunWhereTheyAre) {
  int run = 0;
  for (const ComputeUnit &unit : computeUnits()) {
    if (CPUFeatures::host().firstMissing(unit.features) ||
        !enableCPUFeatures(unit.features).isOk()) {
      std::printf("%s is not on this host: skipped\n", unit.name);
      continue;
    }
    unit.run(0);
    unit.run(3);
    ++run;
  }
  if (CPUFeatures::host().has("avx2"))
    EXPECT_GE(run, 1);
}
