// LoadedModel: a small artifact loads, its step runs, its weights arrive; every damaged or foreign
// one is refused with the reason.

#include "FakeArtifact.h"

#include "llmir/Engine/LoadedModel.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <xxhash.h>

#include <cstdio>
#include <random>
#include <string>
#include <vector>

using namespace llmir;
using namespace llmir::testing;

namespace {

std::string makeWeights(size_t bytes) {
  std::mt19937 random(5);
  std::string weights(bytes, '\0');
  for (char &byte : weights)
    byte = static_cast<char>(random());
  return weights;
}

std::string hashOf(const std::string &bytes) {
  XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)hash.high64,
                (unsigned long long)hash.low64);
  return text;
}

struct Parts {
  std::string code = readFile(LLMIR_FAKE_MODEL);
  std::string weights = makeWeights(5000);
  std::string tokenizer = "GGUF tokenizer";
  Manifest manifest = makeManifest(5000);

  Parts() { manifest.weightHash = hashOf(weights); }
  std::string artifact() const {
    return appendSections(code, {{".llmir.manifest", formatManifest(manifest)},
                                 {".llmir.tokenizer", tokenizer},
                                 {".llmir.weights", weights}});
  }
};

/// The message with which an artifact is refused, without its path; "ok" when it is not.
std::string refusalOf(const std::string &artifact, const LoadOptions &options = {}) {
  TemporaryFile file(artifact);
  auto model = LoadedModel::open(file.path(), options);
  if (model)
    return "ok";
  std::string message = model.status().message(), prefix = file.path() + ": ";
  EXPECT_EQ(message.substr(0, prefix.size()), prefix);
  return message.substr(prefix.size());
}

} // namespace

TEST(LoadedModelTest, LoadsAndRuns) {
  Parts parts;
  TemporaryFile file(parts.artifact());
  auto team = *WorkerTeam::create({.workers = 2});
  int64_t reported = 0;
  LoadOptions options;
  options.team = team.get();
  options.weightCheck = WeightCheck::Verify;
  options.progress = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 5000);
    reported = done;
  };
  auto loaded = LoadedModel::open(file.path(), options);
  ASSERT_TRUE(loaded.isOk()) << loaded.status().message();
  const LoadedModel &model = **loaded;
  EXPECT_EQ(reported, 5000);
  EXPECT_EQ(model.manifest().name, "Fake model");
  EXPECT_EQ(reinterpret_cast<uintptr_t>(model.weights()) % HostMemory::alignment, 0u);
  EXPECT_EQ(std::string(model.weights(), model.weights() + 5000), parts.weights);
  EXPECT_EQ(std::string(model.tokenizer().begin(), model.tokenizer().end()), parts.tokenizer);
  ASSERT_EQ(model.cacheLayouts().size(), 1u);
  EXPECT_EQ(model.cacheLayouts()[0].num_kv_heads, 3);
  EXPECT_EQ(model.workspaceBytes(2, 1, 1, 2), 256); // 10 + 200 + 7 + 5 + 6 = 228

  uint8_t workspace[2] = {};
  llmir_step_args args{};
  args.workspace = workspace;
  team->run([&](int32_t worker) { model.step()(&args, worker, team->size()); });
  EXPECT_EQ(workspace[0], 2);
  EXPECT_EQ(workspace[1], 3);
}

TEST(LoadedModelTest, CopiesManyPagesWithAnyTeam) {
  Parts parts;
  parts.weights = makeWeights((size_t(70) << 20) + 13);
  parts.manifest.weightBytes = static_cast<int64_t>(parts.weights.size());
  parts.manifest.weightHash = hashOf(parts.weights);
  TemporaryFile file(parts.artifact());
  for (int32_t workers : {1, 3}) {
    auto team = *WorkerTeam::create({.workers = workers});
    LoadOptions options;
    options.team = team.get();
    options.weightCheck = WeightCheck::Verify;
    auto loaded = LoadedModel::open(file.path(), options);
    ASSERT_TRUE(loaded.isOk()) << loaded.status().message();
  }
}

TEST(LoadedModelTest, ReadsTheManifestAlone) {
  Parts parts;
  parts.manifest.targetFeatures = {"no-such-feature"};
  TemporaryFile file(parts.artifact());
  StatusOr<Manifest> manifest = LoadedModel::readManifest(file.path());
  ASSERT_TRUE(manifest.isOk()) << manifest.status().message();
  EXPECT_EQ(manifest->targetFeatures[0], "no-such-feature");
  EXPECT_EQ(LoadedModel::readManifest("/no/such/file").status().code(), StatusCode::NotFound);
}

TEST(LoadedModelTest, RefusesAHostWithoutAFeature) {
  Parts parts;
  parts.manifest.targetFeatures = {"avx2", "amx-int8"};
  CPUFeatures features({"avx2", "fma"});
  LoadOptions options;
  options.features = &features;
  EXPECT_EQ(refusalOf(parts.artifact(), options),
            "the model is compiled for a processor with 'amx-int8', which this host lacks; compile "
            "it for this host");
  parts.manifest.targetFeatures = {"avx2"};
  EXPECT_EQ(refusalOf(parts.artifact(), options), "ok");
}

TEST(LoadedModelTest, RefusesOtherVersions) {
  Parts parts;
  parts.manifest.abiVersion = 99;
  EXPECT_EQ(refusalOf(parts.artifact()), "expected ABI version 2, but the manifest has 99; compile "
                                         "the model again with this version");
  Parts code;
  code.code = readFile(LLMIR_FAKE_MODEL_OTHER_VERSION);
  EXPECT_EQ(
      refusalOf(code.artifact()),
      "expected ABI version 2, but the code has 7; compile the model again with this version");
}

TEST(LoadedModelTest, RefusesCodeWithoutAStep) {
  Parts parts;
  parts.code = readFile(LLMIR_FAKE_MODEL_WITHOUT_STEP);
  EXPECT_EQ(refusalOf(parts.artifact()), "the code has no symbol 'llmir_model_step'");
}

TEST(LoadedModelTest, RefusesMissingSections) {
  Parts parts;
  EXPECT_EQ(refusalOf(parts.code), "not a compiled model: no section '.llmir.manifest'");
  NamedSections sections = {{".llmir.manifest", formatManifest(parts.manifest)}};
  EXPECT_EQ(refusalOf(appendSections(parts.code, sections)),
            "not a compiled model: no section '.llmir.tokenizer'");
  sections.push_back({".llmir.tokenizer", "x"});
  EXPECT_EQ(refusalOf(appendSections(parts.code, sections)),
            "not a compiled model: no section '.llmir.weights'");
}

TEST(LoadedModelTest, RefusesDamagedWeightsAndManifests) {
  Parts parts;
  parts.manifest.weightBytes = 6000;
  EXPECT_EQ(refusalOf(parts.artifact()),
            "expected section '.llmir.weights' to have 6000 bytes, but got 5000");
  Parts flipped;
  flipped.weights[1234] ^= 1;
  LoadOptions verify;
  verify.weightCheck = WeightCheck::Verify;
  EXPECT_EQ(refusalOf(flipped.artifact(), verify), "expected the weights to have the hash " +
                                                       flipped.manifest.weightHash + ", but got " +
                                                       hashOf(flipped.weights));
  EXPECT_EQ(refusalOf(flipped.artifact()), "ok");
  Parts garbled;
  NamedSections sections = {{".llmir.manifest", "{]"}};
  EXPECT_EQ(refusalOf(appendSections(garbled.code, sections)),
            "the manifest of 2 bytes is not JSON");
}

TEST(LoadedModelTest, RefusesTruncatedFilesAndOtherThings) {
  std::string artifact = Parts().artifact();
  for (size_t part = 0; part < 16; ++part)
    EXPECT_NE(refusalOf(artifact.substr(0, artifact.size() * part / 16)), "ok");
  EXPECT_EQ(LoadedModel::open("/no/such/file").status().code(), StatusCode::NotFound);
  EXPECT_FALSE(LoadedModel::open("/tmp").isOk());
}

TEST(LoadedModelTest, AProgramOpensItself) {
  Parts parts;
  parts.code = readFile(LLMIR_FAKE_PROGRAM);
  TemporaryFile file(parts.artifact());
  ASSERT_EQ(chmod(file.path().c_str(), 0700), 0);
  FILE *pipe = popen(file.path().c_str(), "r");
  ASSERT_NE(pipe, nullptr);
  char line[200] = "";
  EXPECT_NE(std::fgets(line, sizeof(line), pipe), nullptr);
  EXPECT_EQ(pclose(pipe), 0) << line;
  long sum = 0;
  for (char byte : parts.weights)
    sum += static_cast<unsigned char>(byte);
  EXPECT_EQ(std::string(line), "Fake model: " + std::to_string(sum) + "\n");
}

TEST(LoadedModelTest, OpenSelfNeedsSectionsAndCode) {
  const llmir_linked_step steps[] = {
      {LLMIR_MODEL_STEP_SYMBOL, [](const llmir_step_args *, int32_t, int32_t) {}}};
  EXPECT_EQ(LoadedModel::openSelf(steps, LLMIR_ABI_VERSION + 1).status().code(),
            StatusCode::FailedPrecondition);
  EXPECT_EQ(LoadedModel::openSelf(steps, LLMIR_ABI_VERSION).status().message(),
            "this program: not a compiled model: no section '.llmir.manifest'");
}

TEST(LoadedModelTest, TakesTheBestVersionThatTheHostCanRun) {
  Parts parts;
  WorkspaceContract large = {.perToken = 1000}, small = {.perToken = 10};
  parts.manifest.versions = {{"most", "llmir_model_step", {"avx512vnni", "avx2"}, large},
                             {"least", "llmir_model_step", {"avx2"}, small}};
  TemporaryFile file(parts.artifact());
  CPUFeatures most({"avx2", "avx512vnni"}), least({"avx2"}), none({"sse4.2"});
  auto open = [&](const CPUFeatures &features, const std::string &level = "") {
    LoadOptions options;
    options.features = &features;
    options.level = level;
    return LoadedModel::open(file.path(), options);
  };
  auto model = open(most);
  ASSERT_TRUE(model.isOk()) << model.status().message();
  EXPECT_EQ((*model)->level(), "most");
  EXPECT_EQ((*model)->manifest().workspace.perToken, 1000);
  model = open(least);
  ASSERT_TRUE(model.isOk()) << model.status().message();
  EXPECT_EQ((*model)->level(), "least");
  EXPECT_EQ((*model)->manifest().workspace.perToken, 10);
  EXPECT_EQ((*model)->manifest().targetFeatures, std::vector<std::string>{"avx2"});
  EXPECT_EQ((*open(most, "least"))->level(), "least");
  EXPECT_THAT(open(least, "most").status().message(), ::testing::HasSubstr("'avx512vnni'"));
  EXPECT_THAT(open(most, "more").status().message(),
              ::testing::HasSubstr("expected a level of most, least, but got 'more'"));
  // With none that fits, the features of the manifest's target say what is missing.
  parts.manifest.targetFeatures = {"avx2"};
  TemporaryFile again(parts.artifact());
  LoadOptions options;
  options.features = &none;
  EXPECT_THAT(LoadedModel::open(again.path(), options).status().message(),
              ::testing::HasSubstr("'avx2'"));
}

TEST(LoadedModelTest, AVersionNeedsItsStep) {
  Parts parts;
  parts.manifest.versions = {{"base", "llmir_model_step_base", {}, {}}};
  EXPECT_EQ(refusalOf(parts.artifact()), "the code has no symbol 'llmir_model_step_base'");
}

TEST(LoadedModelTest, ALevelNeedsVersions) {
  LoadOptions options;
  options.level = "avx2";
  EXPECT_THAT(refusalOf(Parts().artifact(), options), ::testing::HasSubstr("--multiversion"));
}
