// A model compiled with --profile: its step with clocks gives the bytes of the step, and its table
// names every call with what it reads and computes.

#include "CompilerTestSupport.h"
#include "PreparedStep.h"
#include "TinyCheckpoint.h"

#include "llmir/Base/AtomicFile.h"
#include "llmir/Benchmark/StepProfile.h"
#include "llmir/Compiler/CompileDriver.h"

#include <memory>
#include <numeric>

using namespace llmir;
using namespace llmir::benchmark;
using namespace llmir::testing;
using namespace mlir::llm;

namespace {

class StepProfileTest : public ::testing::Test {
protected:
  /// The path of a tiny model.
  std::string compile(bool profile) {
    CompileOptions options;
    options.inputPath = folder.path("tiny.gguf");
    options.outputPath = folder.path(profile ? "profiled.llmir" : "plain.llmir");
    options.profile = profile;
    auto file = AtomicFile::create(options.inputPath);
    EXPECT_TRUE(file.isOk() && file->write(TinyCheckpoint::build({})).isOk() &&
                file->commit().isOk());
    CompileResult result;
    ::llmir::Status status = compileModel(options, result);
    EXPECT_TRUE(status.isOk()) << status.message();
    return options.outputPath;
  }

  TestFolder folder;
};

/// Counts calls instead of time.
int64_t countTime() {
  static std::atomic<int64_t> time{0};
  return time.fetch_add(1);
}

} // namespace

TEST_F(StepProfileTest, ClocksDoNotChangeTheStep) {
  auto model = *LoadedModel::open(compile(true));
  ASSERT_NE(model->profile(), nullptr);
  PagedKVCache cache(model->manifest().caches.front(), 8);
  auto team = *WorkerTeam::create({.workers = 3, .pinning = Pinning::None});
  for (int32_t tokens : {1, 12}) {
    PreparedStep step(*model, cache, {{0, tokens}}, 3);
    step.run(*team);
    std::vector<float> expected = step.logits();
    constexpr int64_t stride = 64;
    std::vector<int64_t> times(3 * stride);
    llmir_profile clocks{&countTime, times.data(), stride};
    step.run(*team, [&](const llmir_step_args &args, int32_t worker) {
      model->profile()(&args, worker, 3, &clocks);
    });
    EXPECT_TRUE(step.hasLogits(expected)) << tokens << " tokens";
    for (int worker = 0; worker < 3; ++worker)
      EXPECT_GT(times[size_t(worker) * stride], 0) << "worker " << worker;
    EXPECT_EQ(times.back(), 0);
  }
}

TEST_F(StepProfileTest, CallsReadWhatTheManifestSays) {
  std::string path = compile(true);
  Manifest manifest = *LoadedModel::readManifest(path);
  ProfileOptions options;
  options.model = path;
  options.threads = 2;
  options.context = 7;
  options.seconds = 0.01;
  std::vector<std::string> told;
  options.progress = [&](std::string_view what) { told.emplace_back(what); };
  auto profile = profileStep(options);
  ASSERT_TRUE(profile.isOk()) << profile.status().message();
  EXPECT_EQ(told.size(), 5u);
  EXPECT_GT(profile->bandwidth, 0);
  EXPECT_GT(profile->stepMicroseconds, 0);
  EXPECT_GE(profile->steps, 5);

  double weights = 0, products = 0;
  int attentions = 0;
  for (const CallProfile &call : profile->calls) {
    SCOPED_TRACE(call.name);
    EXPECT_GT(call.repetitions, 0);
    EXPECT_GE(call.floorMicroseconds, 0);
    if (call.name.starts_with("attention") && !call.name.ends_with("_merge")) {
      ++attentions;
      // 8 keys and values of 2 heads of 16 in f16, and 4 query heads' products with them.
      EXPECT_EQ(call.bytes, 2 * 8 * 2 * 16 * 2 * 2);
      EXPECT_EQ(call.operations, 2 * 8 * 4 * 16 * 2 * 2);
      EXPECT_EQ(call.repetitions, TinyCheckpoint::numLayers);
    } else {
      weights += call.bytes;
      products += call.operations;
    }
  }
  EXPECT_EQ(attentions, 1);
  EXPECT_EQ(weights, manifest.bytesPerToken);
  int64_t layer = 64 * (64 + 32 + 32) + 64 * 64 + 3 * 96 * 64;
  EXPECT_EQ(products, 2 * (2 * layer + 256 * 64));
  EXPECT_NE(toMarkdown(*profile).find("linear_q4_1_i8_128x64"), std::string::npos);
  EXPECT_NE(toJson({*profile}).find("\"wait_microseconds\""), std::string::npos);
}

TEST_F(StepProfileTest, RefusesWhatCannotBeProfiled) {
  ProfileOptions options;
  options.model = compile(false);
  options.context = 7;
  EXPECT_NE(profileStep(options).status().message().find("--profile"), std::string::npos);
  options.context = 64; // As long as the model allows, and a token more.
  EXPECT_EQ(profileStep(options).status().code(), StatusCode::InvalidArgument);
  options.context = -1;
  EXPECT_EQ(profileStep(options).status().code(), StatusCode::InvalidArgument);
}
