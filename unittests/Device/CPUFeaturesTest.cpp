// CPUFeatures: the host's set agrees with the compiler's own view of the processor, and missing
// features are named.

#include "llmir/Device/CPUFeatures.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <vector>

using namespace llmir;

TEST(CPUFeaturesTest, NamesTheFirstMissingFeature) {
  CPUFeatures features({"avx2", "fma"});
  std::vector<std::string> has = {"avx2", "+fma"}, lacks = {"avx2", "f16c", "avx512f"};
  EXPECT_EQ(features.firstMissing(has), std::nullopt);
  EXPECT_EQ(features.firstMissing(lacks), std::optional<std::string>("f16c"));
  EXPECT_EQ(features.firstMissing({}), std::nullopt);
}

#if defined(__x86_64__)
TEST(CPUFeaturesTest, AgreesWithTheCompilersDetection) {
  const CPUFeatures &host = CPUFeatures::host();
  EXPECT_TRUE(host.has("sse2"));
  __builtin_cpu_init();
#define CHECK_FEATURE(builtin, name) EXPECT_EQ(host.has(name), __builtin_cpu_supports(builtin) != 0)
  CHECK_FEATURE("avx", "avx");
  CHECK_FEATURE("avx2", "avx2");
  CHECK_FEATURE("fma", "fma");
  CHECK_FEATURE("bmi", "bmi");
  CHECK_FEATURE("bmi2", "bmi2");
  CHECK_FEATURE("popcnt", "popcnt");
  CHECK_FEATURE("sse4.2", "sse4.2");
  CHECK_FEATURE("avx512f", "avx512f");
  CHECK_FEATURE("avx512bw", "avx512bw");
  CHECK_FEATURE("avx512vl", "avx512vl");
  CHECK_FEATURE("avx512vnni", "avx512vnni");
  CHECK_FEATURE("avx512bf16", "avx512bf16");
  CHECK_FEATURE("gfni", "gfni");
#undef CHECK_FEATURE
}
#endif

TEST(CPUFeaturesTest, EnablesWhatNeedsNoPermission) {
  std::vector<std::string> features = {"avx2"};
  EXPECT_TRUE(enableCPUFeatures(features).isOk());
}
