// Targets are described by features, and unknown ones are named.

#include "llmir/Target/CPU/TargetDescription.h"
#include <gmock/gmock.h>

using namespace mlir::llm;
using testing::ElementsAre;

static constexpr const char *kTriple = "x86_64-unknown-linux-gnu";

TEST(TargetDescriptionTest, ParsesSortsAndDeduplicates) {
  auto target = TargetDescription::parse(kTriple, "+fma, avx2,f16c,fma");
  ASSERT_TRUE(target.isOk()) << target.status().message();
  EXPECT_THAT(target->features, ElementsAre("avx2", "f16c", "fma"));
  EXPECT_EQ(target->codegenFeatures(), "+avx2,+f16c,+fma");
  EXPECT_EQ(target->codegenCPU(), "x86-64");
  EXPECT_EQ(target->tuningCPU(), "x86-64-v3");
  EXPECT_TRUE(target->has("avx"));
  EXPECT_FALSE(target->has("avx512f"));
}

TEST(TargetDescriptionTest, FeaturesDecideTheVectorLength) {
  auto first = TargetDescription::parse(kTriple, "avx512f,avx512bw");
  auto later = TargetDescription::parse(kTriple, "avx512bw,avx512vnni");
  ASSERT_TRUE(first.isOk() && later.isOk());
  EXPECT_THAT(first->codegenFeatures(), testing::EndsWith(",+prefer-256-bit"));
  EXPECT_THAT(later->codegenFeatures(), testing::EndsWith(",-prefer-256-bit"));
  EXPECT_TRUE(later->has("avx2")) << "implied by avx512bw";
  EXPECT_EQ(later->tuningCPU(), "x86-64-v4");
}

TEST(TargetDescriptionTest, NamesWhatItDoesNotKnow) {
  EXPECT_EQ(TargetDescription::parse(kTriple, "avx2,warp9").status().message(),
            "unknown target feature 'warp9' for the triple 'x86_64-unknown-linux-gnu'");
  EXPECT_THAT(TargetDescription::parse("vax-dec-ultrix", "").status().message(),
              testing::StartsWith("no code generator for the triple 'vax-dec-ultrix'"));
}

TEST(TargetDescriptionTest, HostFeaturesAreKnownToTheCodeGenerator) {
  TargetDescription host = TargetDescription::forHost();
  auto again = TargetDescription::parse("", "native");
  ASSERT_TRUE(again.isOk()) << again.status().message();
  EXPECT_EQ(again->features, host.features);
  EXPECT_EQ(again->triple, host.triple);
}

TEST(TargetDescriptionTest, ProcessorsStandForTheirFeatures) {
  auto tiles = TargetDescription::forProcessor(kTriple, "sapphirerapids");
  ASSERT_TRUE(tiles.isOk()) << tiles.status().message();
  EXPECT_THAT(tiles->features, testing::IsSupersetOf({"amx-int8", "avx512vnni", "avx2"}));
  auto more = TargetDescription::parse(kTriple, "avxvnni", "haswell");
  ASSERT_TRUE(more.isOk()) << more.status().message();
  EXPECT_THAT(more->features, testing::IsSupersetOf({"avx2", "avxvnni", "fma"}));
  EXPECT_FALSE(more->has("avx512f"));
  EXPECT_EQ(TargetDescription::forProcessor(kTriple, "warp9").status().message(),
            "unknown processor 'warp9' for the triple 'x86_64-unknown-linux-gnu'");
}

TEST(TargetDescriptionTest, ListsWhatFeaturesImply) {
  auto target = TargetDescription::parse(kTriple, "avx512vnni");
  ASSERT_TRUE(target.isOk()) << target.status().message();
  EXPECT_THAT(target->withImplied(),
              testing::IsSupersetOf({"avx2", "avx512f", "avx512vnni", "f16c", "fma"}));
  EXPECT_THAT(target->features, ElementsAre("avx512vnni"));
}

TEST(TargetDescriptionTest, CompletesTriplesAndNamesTheLeastOfAArch64) {
  auto base = TargetDescription::parse("aarch64-linux-gnu", "");
  ASSERT_TRUE(base.isOk()) << base.status().message();
  EXPECT_EQ(base->triple, "aarch64-unknown-linux-gnu");
  EXPECT_THAT(base->features, ElementsAre("neon"));
  auto dots = TargetDescription::parse("aarch64-linux-gnu", "i8mm,dotprod");
  ASSERT_TRUE(dots.isOk()) << dots.status().message();
  EXPECT_THAT(dots->features, ElementsAre("dotprod", "i8mm", "neon"));
  auto server = TargetDescription::forProcessor("aarch64-linux-gnu", "neoverse-v1");
  ASSERT_TRUE(server.isOk()) << server.status().message();
  EXPECT_THAT(server->features, testing::IsSupersetOf({"dotprod", "i8mm", "neon", "sve"}));
}

TEST(TargetDescriptionTest, KnowsTheHostsArchitecture) {
  std::string host = TargetDescription::forHost().triple;
  EXPECT_TRUE(TargetDescription::isHost(""));
  EXPECT_TRUE(TargetDescription::isHost(host));
  bool isX86 = host.starts_with("x86_64");
  EXPECT_FALSE(TargetDescription::isHost(isX86 ? "aarch64-linux-gnu" : kTriple));
}
