// Tensor parallelism from checkpoint to logits: a small Llama compiled for one rank and for two.
// Two ranks, as threads or as processes, give the logits of one within 1e-5, and the same bytes on
// every rank, every time and over every transport.

#include "CompilerTestSupport.h"
#include "ShardedSteps.h"
#include "TinyCheckpoint.h"

#include "../Distributed/ThreadRanks.h"

#include "llmir/Base/AtomicFile.h"
#include "llmir/Compiler/CompileDriver.h"

#include <gmock/gmock.h>

#include <fstream>
#include <iterator>
#include <ostream>

using namespace llmir;
using namespace llmir::testing;
using namespace mlir::llm;
using ::testing::HasSubstr;

namespace {

struct Variant {
  const char *name;
  TinyCheckpointTypes types;
  ActivationType activations;
  /// Int8 activations of later layers may round to the other side where sums differ in their last
  /// bit.
  double tolerance;

  friend void PrintTo(const Variant &variant, std::ostream *stream) { *stream << variant.name; }
};

const Variant kVariants[] = {
    {"F32", {GGUFType::F32, GGUFType::F32}, ActivationType::F32, 1e-5},
    {"Q8", {GGUFType::Q8_0, GGUFType::Q8_0, 128}, ActivationType::F32, 1e-5},
    {"Q4", {GGUFType::Q8_0, GGUFType::Q4_1, 128}, ActivationType::F32, 1e-5},
    {"Q4Int8", {GGUFType::Q8_0, GGUFType::Q4_1, 128}, ActivationType::I8, 0.05}};

class ShardedModelTest : public ::testing::TestWithParam<Variant> {
protected:
  Status compile(int64_t worldSize, int64_t rank, const std::string &output) {
    CompileOptions options;
    options.inputPath = folder.path("tiny.gguf");
    options.outputPath = output;
    options.activations = GetParam().activations;
    options.import.kvElementType = KVElementType::F32;
    options.import.blockSize = 4;
    options.worldSize = worldSize;
    options.rank = rank;
    auto file = AtomicFile::create(options.inputPath);
    if (!file)
      return file.status();
    LLMIR_RETURN_IF_ERROR(file->write(TinyCheckpoint::build(GetParam().types)));
    LLMIR_RETURN_IF_ERROR(file->commit());
    CompileResult result;
    return compileModel(options, result);
  }

  /// The logits of one rank alone, and the artifacts of two.
  void SetUp() override {
    Status status = compile(1, 0, folder.path("whole.llmir"));
    ASSERT_TRUE(status.isOk()) << status.message();
    auto whole = LoadedModel::open(folder.path("whole.llmir"));
    ASSERT_TRUE(whole.isOk()) << whole.status().message();
    auto logits = runConversation(**whole, 2, nullptr);
    ASSERT_TRUE(logits.isOk()) << logits.status().message();
    expected = *logits;
    for (int32_t rank = 0; rank < 2; ++rank) {
      status = compile(2, rank, rankPath(folder.path("half"), rank));
      ASSERT_TRUE(status.isOk()) << status.message();
      auto half = LoadedModel::open(rankPath(folder.path("half"), rank));
      ASSERT_TRUE(half.isOk()) << half.status().message();
      EXPECT_EQ((*half)->manifest().rank, rank);
      EXPECT_EQ((*half)->manifest().worldSize, 2);
      EXPECT_EQ((*half)->manifest().caches.front().numKVHeads, 1);
      EXPECT_LT((*half)->manifest().weightBytes, (*whole)->manifest().weightBytes);
      halves.push_back(*std::move(half));
    }
  }

  /// The logits of both ranks as threads.
  std::vector<std::vector<float>> runThreads(int32_t workers) {
    std::vector<std::vector<float>> logits(2);
    llmir::test::runThreadRanks(2, [&](Collective &group) {
      auto rank = static_cast<size_t>(group.rank());
      auto result = runConversation(*halves[rank], workers, &group);
      ASSERT_TRUE(result.isOk()) << result.status().message();
      logits[rank] = *result;
    });
    return logits;
  }

  TestFolder folder;
  std::vector<float> expected;
  std::vector<std::unique_ptr<LoadedModel>> halves;
};

std::vector<float> readFloats(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(stream), {}};
  std::vector<float> values(bytes.size() / sizeof(float));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(float));
  return values;
}

} // namespace

TEST_P(ShardedModelTest, ThreadsGiveTheLogitsOfOneRank) {
  std::vector<std::vector<float>> logits = runThreads(2);
  EXPECT_LE(largestDifference(logits[0], expected), GetParam().tolerance);
  EXPECT_EQ(logits[0], logits[1]);
  for (int32_t workers : {1, 2, 3})
    EXPECT_EQ(runThreads(workers)[1], logits[0]) << workers << " workers";
}

TEST_P(ShardedModelTest, ProcessesGiveTheBytesOfThreads) {
#ifdef LLMIR_MPIRUN
  std::vector<float> threads = runThreads(1)[0];
  for (int round = 0; round < 2; ++round) {
    std::string command = std::string(LLMIR_MPIRUN) +
                          " --allow-run-as-root --oversubscribe --bind-to none -n 2 " +
                          LLMIR_SHARDED_MODEL_RANK + " " + folder.path("half") + " </dev/null";
    ASSERT_EQ(std::system(command.c_str()), 0) << command;
    for (int rank = 0; rank < 2; ++rank)
      EXPECT_EQ(readFloats(folder.path("half." + std::to_string(rank) + ".logits")), threads);
  }
#else
  (void)&readFloats;
  GTEST_SKIP() << "no MPI in this build: processes were not started";
#endif
}

TEST_P(ShardedModelTest, APartDoesNotRunAlone) {
  auto logits = runConversation(*halves[1], 1, nullptr);
  EXPECT_EQ(logits.status().code(), StatusCode::FailedPrecondition);
  EXPECT_THAT(logits.status().message(), HasSubstr("compiled for rank 1 of 2"));
}

INSTANTIATE_TEST_SUITE_P(Variants, ShardedModelTest, ::testing::ValuesIn(kVariants),
                         [](const ::testing::TestParamInfo<Variant> &info) {
                           return std::string(info.param.name);
                         });

namespace {
/// What cannot be divided.
class UndividedModelTest : public ShardedModelTest {
  void SetUp() override {}
};
} // namespace

TEST_P(UndividedModelTest, IsRefusedAtTheOp) {
  Status groups = compile(2, 0, folder.path("half.llmir"));
  EXPECT_THAT(groups.message(), HasSubstr("expected each of 2 ranks to get whole groups of 32 of "
                                          "the 96 columns of @blk.0.ffn_down.weight"));
  Status heads = compile(4, 0, folder.path("half.llmir"));
  EXPECT_THAT(heads.message(), HasSubstr("4 ranks"));
  Status rank = compile(2, 2, folder.path("half.llmir"));
  EXPECT_THAT(rank.message(), HasSubstr("but got rank 2 of 2"));
  EXPECT_EQ(folder.list(), std::vector<std::string>{"tiny.gguf"});
}

INSTANTIATE_TEST_SUITE_P(Variants, UndividedModelTest,
                         ::testing::Values(Variant{
                             "Q4", {GGUFType::Q8_0, GGUFType::Q4_1, 96}, ActivationType::F32, 0}));
