// A step on any number of workers: the same bytes on 1 to 128 of them, with as many barriers as the
// plan promises and no more: what workers need of each other's results must not depend on luck, so
// there are more of them than CPUs, which stops them anywhere.

#include "CheckpointFixture.h"
#include "CompilerTestSupport.h"
#include "PreparedStep.h"
#include "TinyCheckpoint.h"

#include "llmir/Base/AtomicFile.h"
#include "llmir/Compiler/CompileDriver.h"

#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <ostream>

using namespace llmir;
using namespace llmir::testing;
using namespace mlir::llm;

namespace {

std::unique_ptr<WorkerTeam> makeTeam(int32_t workers) {
  return *WorkerTeam::create({.workers = workers, .pinning = Pinning::None});
}

std::atomic<int> numBarriers;

/// A team's barrier that counts how often the first worker comes to it.
void countingBarrier(void *team, int32_t worker) {
  if (worker == 0)
    numBarriers.fetch_add(1, std::memory_order_relaxed);
  WorkerTeam::barrierEntry(team, worker);
}

int countBarriers(PreparedStep &step, int32_t workers) {
  std::unique_ptr<WorkerTeam> team = makeTeam(workers);
  step.setBarrier(countingBarrier);
  numBarriers = 0;
  step.run(*team);
  return numBarriers;
}

struct Variant {
  const char *name;
  TinyCheckpointTypes types;
  ActivationType activations;

  friend void PrintTo(const Variant &variant, std::ostream *stream) { *stream << variant.name; }
};

/// A compiled model and a cache of it.
struct CompiledModel {
  TestFolder folder;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<PagedKVCache> cache;

  void compile(const CompileOptions &options, int64_t numBlocks) {
    CompileResult result;
    ::llmir::Status status = compileModel(options, result);
    ASSERT_TRUE(status.isOk()) << status.message();
    auto opened = LoadedModel::open(options.outputPath);
    ASSERT_TRUE(opened.isOk()) << opened.status().message();
    model = *std::move(opened);
    cache = std::make_unique<PagedKVCache>(model->manifest().caches.front(), numBlocks);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
  }

  /// Appends tokens of sequences to the cache.
  void feed(const std::vector<Share> &shares) const {
    PreparedStep(*model, *cache, shares).run(*makeTeam(2));
  }

  /// Whether one worker's logits are those of every other number.
  void checkWorkers(const std::vector<Share> &shares) const {
    PreparedStep step(*model, *cache, shares, 128);
    step.run(*makeTeam(1));
    std::vector<float> expected = step.logits();
    for (float logit : expected)
      ASSERT_TRUE(std::isfinite(logit));
    for (int32_t workers : {2, 3, 4, 7, 16, 64, 128}) {
      std::unique_ptr<WorkerTeam> team = makeTeam(workers);
      for (int repetition = 0; repetition < (workers <= 16 ? 2 : 1); ++repetition) {
        step.run(*team);
        ASSERT_TRUE(step.hasLogits(expected)) << workers << " workers, run " << repetition;
      }
    }
  }
};

class StepWorkersTest : public ::testing::TestWithParam<Variant>, public CompiledModel {
protected:
  void SetUp() override {
    CompileOptions options;
    options.inputPath = folder.path("tiny.gguf");
    options.outputPath = folder.path("tiny.llmir");
    options.activations = GetParam().activations;
    options.import.blockSize = 16;
    TinyCheckpointTypes types = GetParam().types;
    types.contextLength = 1024;
    auto file = AtomicFile::create(options.inputPath);
    ASSERT_TRUE(file.isOk()) << file.status().message();
    ASSERT_TRUE(file->write(TinyCheckpoint::build(types)).isOk());
    ASSERT_TRUE(file->commit().isOk());
    ASSERT_NO_FATAL_FAILURE(compile(options, 256));
  }
};

} // namespace

TEST_P(StepWorkersTest, SameBytes) {
  feed({{0, 9}, {1, 30}, {2, 700}});
  checkWorkers({{0, 1}});
  checkWorkers({{0, 3}, {1, 1}});
  checkWorkers({{1, 1}, {0, 1}, {2, 1}});
  checkWorkers({{0, 7}, {1, 2}, {2, 5}});
  // Split: one sequence, and beside a short one; within a split's last keys and over its end.
  checkWorkers({{2, 1}});
  checkWorkers({{2, 3}, {0, 1}});
  feed({{2, 57}});
  checkWorkers({{2, 4}});
}

TEST_P(StepWorkersTest, BarriersOfALayer) {
  // One before the first layer; two KV heads, so that one or two workers need none between the
  // projection and attention.
  auto total = [](int ofLayer) { return 1 + int(TinyCheckpoint::numLayers) * ofLayer; };
  feed({{0, 9}, {1, 30}, {2, 700}});
  PreparedStep one(*model, *cache, {{0, 1}}, 4), four(*model, *cache, {{0, 1}, {1, 3}}, 4),
      split(*model, *cache, {{2, 1}}, 4), many(*model, *cache, {{0, 5}}, 4);
  for (int32_t workers : {1, 2, 3, 4}) {
    SCOPED_TRACE(std::to_string(workers) + " workers");
    bool divide = workers <= 2;
    EXPECT_EQ(countBarriers(one, workers), total(divide ? 4 : 5));
    EXPECT_EQ(countBarriers(four, workers), total(divide ? 4 : 5));
    EXPECT_EQ(countBarriers(split, workers), total(workers == 1 ? 4 : 6));
    EXPECT_GT(countBarriers(many, workers), total(6));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Models, StepWorkersTest,
    ::testing::Values(Variant{"Q4AndInt8", {}, ActivationType::I8},
                      Variant{"F32", {GGUFType::F32, GGUFType::F32}, ActivationType::F32}),
    [](const ::testing::TestParamInfo<Variant> &info) { return info.param.name; });

namespace {
class SmolLM2WorkersTest : public ::testing::Test, public CompiledModel {
protected:
  void SetUp() override {
    CompileOptions options;
    options.inputPath = findSmolLM2();
    if (options.inputPath.empty())
      GTEST_SKIP() << "no SmolLM2 checkpoint: scripts/setup installs it, LLMIR_SMOLLM2 names one";
    options.outputPath = folder.path("smollm2.llmir");
    options.import.maxSequenceLength = 512;
    ASSERT_NO_FATAL_FAILURE(compile(options, 64));
  }
};
} // namespace

TEST_F(SmolLM2WorkersTest, SameBytesAndBarriers) {
  constexpr int numLayers = 30;
  feed({{0, 40}, {1, 290}});
  checkWorkers({{0, 2}});
  checkWorkers({{1, 1}});
  checkWorkers({{0, 6}, {1, 1}});
  // Three KV heads: a head for each of three workers.
  PreparedStep one(*model, *cache, {{0, 1}}, 3), split(*model, *cache, {{1, 1}}, 3);
  EXPECT_EQ(countBarriers(one, 2), 1 + 5 * numLayers);
  EXPECT_EQ(countBarriers(one, 3), 1 + 4 * numLayers);
  EXPECT_EQ(countBarriers(split, 2), 1 + 6 * numLayers);
  EXPECT_EQ(countBarriers(split, 3), 1 + 6 * numLayers);
}
