// SameBytesTest: a sequence of SmolLM2 with a cache of each storage, and the logits that it gets
// alone in a cold cache, with which every test of what happens to a cache compares byte for byte.

#ifndef LLMIR_UNITTESTS_COMPILER_SAMEBYTESFIXTURE_H
#define LLMIR_UNITTESTS_COMPILER_SAMEBYTESFIXTURE_H

#include "CheckpointFixture.h"
#include "ServedSequences.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

namespace llmir::testing {

/// The models of this program, each compiled once.
inline CompiledModels &models() {
  static CompiledModels models;
  return models;
}

/// How keys and values are stored in the tests of this program.
inline std::vector<KVStorage> storages() {
  using mlir::llm::CompileOptions;
  using mlir::llm::KVElementType;
  return {{"F16", [](CompileOptions &) {}},
          {"I8", [](CompileOptions &o) { o.import.kvElementType = KVElementType::I8; }},
          {"I4", [](CompileOptions &o) { o.import.kvElementType = KVElementType::I4; }}};
}

class SameBytesTest : public ::testing::TestWithParam<KVStorage> {
protected:
  static constexpr int32_t asked = 1, other = 2, strangers = 100;

  void SetUp() override {
    if (findSmolLM2().empty())
      GTEST_SKIP() << "no SmolLM2 checkpoint: scripts/setup installs it, LLMIR_SMOLLM2 names one";
    auto compiled = models().get(GetParam());
    ASSERT_TRUE(compiled.isOk()) << compiled.status().message();
    model = *compiled;
    WorkerTeamOptions options;
    options.workers = 2;
    options.pinning = Pinning::None;
    team = *WorkerTeam::create(options);
    vocabulary = static_cast<size_t>(model->manifest().vocabularySize);
  }

  ServedSequences serve(int64_t numBlocks, uint64_t seed = 5) const {
    return ServedSequences(*model, *team, numBlocks, seed);
  }
  /// The logits of all tokens, computed at once and alone.
  Logits cold(const Tokens &tokens) const { return serve(64, 1).feed(asked, tokens); }

  /// Expects `actual` to be the rows of `expected` from `first` on, and to be numbers.
  void expectRows(const Logits &actual, const Logits &expected, size_t first) const {
    ASSERT_FALSE(actual.empty());
    ASSERT_LE(first * vocabulary + actual.size(), expected.size());
    EXPECT_EQ(std::memcmp(actual.data(), expected.data() + first * vocabulary,
                          actual.size() * sizeof(float)),
              0);
    for (float logit : actual)
      ASSERT_TRUE(std::isfinite(logit));
  }

  const LoadedModel *model = nullptr;
  std::unique_ptr<WorkerTeam> team;
  size_t vocabulary = 0;
  // Three blocks of 16 and a part, then tokens as if generated.
  const Tokens prompt = makeTokens(1, 53), continued = makeTokens(1, 70);
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_SAMEBYTESFIXTURE_H
