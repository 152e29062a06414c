// What a compiled step does beside computing: nothing. Steps of small compiled models run in child
// processes that may make no system call, or only the futex of a barrier that sleeps, and that
// count allocations; every step gives the same bytes on one worker and on two.

#include "CompilerTestSupport.h"
#include "PreparedStep.h"
#include "TinyCheckpoint.h"

#include "../Support/AllocationCounter.h"
#include "../Support/SystemCallFilter.h"

#include "llmir/Base/AtomicFile.h"
#include "llmir/Compiler/CompileDriver.h"

#include <cmath>
#include <cstdlib>
#include <memory>
#include <ostream>

using namespace llmir;
using namespace llmir::testing;
using namespace mlir::llm;

namespace {

enum ExitCode { Passed = 0, OtherLogits = 71, Allocated = 72, NoSeccomp = 77, NoTeam = 78 };

struct Variant {
  const char *name;
  TinyCheckpointTypes types;
  ActivationType activations;
  KVElementType kvType;

  friend void PrintTo(const Variant &variant, std::ostream *stream) { *stream << variant.name; }
};

/// Workers and what they may call.
struct TeamCase {
  int32_t workers;
  int64_t spinMicroseconds;
  AllowedCalls allowed;
};

constexpr int kNumSteps = 20;
constexpr int64_t kMinute = 60'000'000;

/// A child's work: a step to warm up, then the counted and filtered ones. Does not return once
/// there is a filter, because stopping the team takes system calls.
int runFilteredSteps(PreparedStep &step, const TeamCase &teamCase,
                     const std::vector<float> &expected) {
  WorkerTeamOptions options;
  options.workers = teamCase.workers;
  options.spinMicroseconds = teamCase.spinMicroseconds;
  auto team = WorkerTeam::create(options);
  if (!team)
    return NoTeam;
  step.run(**team);
  if (!step.hasLogits(expected))
    return OtherLogits;
  if (!forbidSystemCalls(teamCase.allowed))
    return NoSeccomp;
  int64_t numAllocations = countAllocations();
  for (int i = 0; i < kNumSteps; ++i) {
    step.run(**team);
    if (!step.hasLogits(expected))
      _exit(OtherLogits);
  }
  _exit(countAllocations() == numAllocations ? Passed : Allocated);
}

/// Calls an allocation function and frees what it gives; optimisers leave both alone.
template <typename Function, typename... Arguments>
void allocate(Function function, Arguments... arguments) {
  void *volatile memory = function(arguments...);
  std::free(memory);
}

/// Compiles a variant and fills a cache with four sequences, their blocks among each other's.
class CompiledStepTest : public ::testing::TestWithParam<Variant> {
protected:
  void SetUp() override {
    if (kHasSanitizer)
      GTEST_SKIP() << "sanitizers allocate and make system calls of their own";
    ASSERT_NO_FATAL_FAILURE(compile());
    const llmir_cache_layout &layout = model->cacheLayouts().front();
    cache = std::make_unique<PagedKVCache>(model->manifest().caches.front(), 64);
    ASSERT_TRUE(cache->status().isOk()) << cache->status().message();
    ASSERT_TRUE(checkSameLayout(cache->layout(), layout).isOk());
    team = *WorkerTeam::create({.workers = 1, .pinning = Pinning::None});
    // A sequence that goes away leaves blocks for the others out of order.
    PreparedStep(*model, *cache, {{0, 3}, {9, 10}, {1, 1}, {2, 4}, {3, 2}}).run(*team);
    ASSERT_TRUE(cache->freeSequence(SequenceId(9)).isOk());
    for (int round = 0; round < 2; ++round)
      PreparedStep(*model, *cache, {{3, 2}, {0, 3}, {2, 4}, {1, 1}}).run(*team);
    std::span<const BlockId> blocks = *cache->blocks(SequenceId(0));
    ASSERT_EQ(blocks.size(), 3u);
    for (size_t i = 1; i < blocks.size(); ++i)
      ASSERT_NE(blocks[i].index, blocks[i - 1].index + 1);
  }

  void compile() {
    std::vector<uint8_t> checkpoint = TinyCheckpoint::build(GetParam().types);
    CompileOptions options;
    options.inputPath = folder.path("tiny.gguf");
    options.outputPath = folder.path("tiny.llmir");
    options.activations = GetParam().activations;
    options.import.kvElementType = GetParam().kvType;
    options.import.blockSize = 4;
    auto file = AtomicFile::create(options.inputPath);
    ASSERT_TRUE(file.isOk()) << file.status().message();
    ASSERT_TRUE(file->write(checkpoint).isOk());
    ASSERT_TRUE(file->commit().isOk());
    CompileResult result;
    ::llmir::Status status = compileModel(options, result);
    ASSERT_TRUE(status.isOk()) << status.message();
    auto opened = LoadedModel::open(options.outputPath);
    ASSERT_TRUE(opened.isOk()) << opened.status().message();
    model = *std::move(opened);
    ASSERT_EQ(model->cacheLayouts().size(), 1u);
  }

  /// Runs the step here for the logits to expect, then in a child for each team.
  void checkStep(const std::vector<Share> &shares) {
    PreparedStep step(*model, *cache, shares);
    step.run(*team);
    std::vector<float> expected = step.logits();
    for (float logit : expected)
      ASSERT_TRUE(std::isfinite(logit));
    ASSERT_NE(expected.front(), expected.back());
    // Teams that never sleep show that the compiled code itself calls nothing; teams that do, that
    // sleeping is a futex and nothing else.
    for (TeamCase teamCase :
         {TeamCase{1, 50, AllowedCalls::None}, TeamCase{2, kMinute, AllowedCalls::None},
          TeamCase{2, 50, AllowedCalls::Futex}, TeamCase{2, 0, AllowedCalls::Futex}}) {
      // More workers than CPUs sleep soon, whatever they are told.
      if (availableCPUs().size() < 2 && teamCase.spinMicroseconds == kMinute)
        teamCase.allowed = AllowedCalls::Futex;
      ChildEnd end = runInChild([&] { return runFilteredSteps(step, teamCase, expected); });
      if (end.exitCode == NoSeccomp)
        GTEST_SKIP() << "this kernel has no seccomp filters";
      EXPECT_EQ(end.exitCode, Passed)
          << teamCase.workers << " workers that spin for " << teamCase.spinMicroseconds
          << " microseconds: " << end.describe();
    }
  }

  TestFolder folder;
  std::unique_ptr<LoadedModel> model;
  std::unique_ptr<PagedKVCache> cache;
  std::unique_ptr<WorkerTeam> team;
};

} // namespace

TEST_P(CompiledStepTest, ManyTokensOfSeveralSequences) {
  // 12 tokens and as many rows: more than a small batch.
  checkStep({{2, 4}, {0, 5}, {3, 2}, {1, 1}});
}

TEST_P(CompiledStepTest, OneToken) { checkStep({{2, 1}}); }

TEST_P(CompiledStepTest, SleepingAndAllocatingAreSeen) {
  // The control: without the right to sleep the same steps end at the first futex, and they are
  // found out if something that they call allocates.
  PreparedStep step(*model, *cache, {{2, 1}});
  step.run(*team);
  std::vector<float> expected = step.logits();
  ChildEnd end =
      runInChild([&] { return runFilteredSteps(step, {2, 0, AllowedCalls::None}, expected); });
  if (end.exitCode == NoSeccomp)
    GTEST_SKIP() << "this kernel has no seccomp filters";
  EXPECT_EQ(end.signal, SIGSYS) << end.describe();
  step.setBarrier([](void *team, int32_t worker) {
    if (worker == 0)
      allocate(std::malloc, 1);
    WorkerTeam::barrierEntry(team, worker);
  });
  end = runInChild([&] { return runFilteredSteps(step, {2, 50, AllowedCalls::Futex}, expected); });
  EXPECT_EQ(end.exitCode, Allocated) << end.describe();
}

TEST(AllocationCounterTest, CountsEveryKind) {
  if (kHasSanitizer)
    GTEST_SKIP() << "sanitizers keep their own allocator";
  int64_t before = countAllocations();
  allocate(std::malloc, 8);
  allocate(std::calloc, 2, 8);
  allocate(std::realloc, nullptr, 8);
  allocate(std::aligned_alloc, 64, 128);
  allocate([](size_t size) { return ::operator new(size); }, 8);
  EXPECT_EQ(countAllocations(), before + 5);
}

INSTANTIATE_TEST_SUITE_P(
    Models, CompiledStepTest,
    ::testing::Values(
        Variant{"Q4AndInt8", {}, ActivationType::I8, KVElementType::F16},
        Variant{"F32", {GGUFType::F32, GGUFType::F32}, ActivationType::F32, KVElementType::F32}),
    [](const ::testing::TestParamInfo<Variant> &info) { return info.param.name; });
