// Same bytes in batches (vLLM 5898, SGLang 34683, llama.cpp 7052): what a sequence computes does
// not depend on how many others are in its steps, 1 to 64, nor on whether it was preempted in
// between or comes from a checkpoint.

#include "SameBytesFixture.h"

#include "llmir/Cache/CheckpointManager.h"

#include <map>

using namespace llmir;
using namespace llmir::testing;

namespace {

class BatchBytesTest : public SameBytesTest {
protected:
  static constexpr size_t promptTokens = 4, generatedTokens = 3;

  static int32_t idOf(size_t sequence) { return int32_t(sequence) + 1; }
  /// Prompts of 2 to 4 tokens and what follows.
  static Tokens tokensOf(size_t sequence) {
    return makeTokens(uint32_t(sequence) + 300, promptTokens - sequence % 3 + generatedTokens);
  }
  static size_t promptOf(size_t sequence) { return promptTokens - sequence % 3; }

  /// The logits of the first 64 sequences, each alone in a cold cache; computed once a model.
  const std::vector<Logits> &coldLogits() const {
    static std::map<const LoadedModel *, std::vector<Logits>> byModel;
    std::vector<Logits> &all = byModel[model];
    if (!all.empty())
      return all;
    ServedSequences served = serve(2, 1);
    for (size_t i = 0; i < 64; ++i) {
      all.push_back(served.feed(idOf(i), tokensOf(i)));
      EXPECT_TRUE(served.cache.freeSequence(SequenceId{idOf(i)}).isOk());
    }
    return all;
  }

  /// One step in which each of the sequences of `batch` gets its tokens from `first(i)` to before
  /// `last(i)`.
  template <typename First, typename Last>
  void stepAndCompare(ServedSequences &served, const std::vector<size_t> &batch, First first,
                      Last last, const std::vector<Logits> &expected) const {
    std::vector<ServedSequences::Feed> feeds;
    for (size_t i : batch)
      feeds.push_back({idOf(i), slice(tokensOf(i), first(i), last(i))});
    std::vector<Logits> rows = served.step(feeds);
    for (size_t i = 0; i < batch.size(); ++i)
      expectRows(rows[i], expected[batch[i]], first(batch[i]));
  }
};

auto zero = [](size_t) { return size_t(0); };

} // namespace

TEST_P(BatchBytesTest, VLLM5898_SGLang34683_LlamaCpp7052_BatchesOf1To64) {
  const std::vector<Logits> &expected = coldLogits();
  auto after = [](size_t count) { return [count](size_t i) { return promptOf(i) + count; }; };
  for (size_t size : {1, 2, 7, 32, 64}) {
    SCOPED_TRACE("a batch of " + std::to_string(size));
    std::vector<size_t> batch(size);
    std::iota(batch.begin(), batch.end(), 64 - size); // The last one is in every batch.
    ServedSequences served = serve(int64_t(size), size);
    stepAndCompare(served, batch, zero, after(0), expected);
    EXPECT_EQ(served.cache.pool().numFree(), 0);
    stepAndCompare(served, batch, after(0), after(1), expected);
    // In the opposite order, so that others stand before and after it.
    std::reverse(batch.begin(), batch.end());
    stepAndCompare(served, batch, after(1), after(3), expected);
  }
}

TEST_P(BatchBytesTest, VLLM5898_SGLang34683_LlamaCpp7052_PreemptedAndRestored) {
  const std::vector<Logits> &expected = coldLogits();
  auto after = [](size_t count) { return [count](size_t i) { return promptOf(i) + count; }; };
  std::vector<size_t> all(64), half;
  std::iota(all.begin(), all.end(), 0);
  for (size_t i = 0; i < 64; i += 2)
    half.push_back(i);
  mlir::llm::TestFolder folder;
  CheckpointManager manager(folder.path("checkpoints"), {.model = model->manifest().fingerprint});
  {
    ServedSequences served = serve(64, 2);
    stepAndCompare(served, all, zero, after(1), expected);
    // Every second one is preempted, its blocks are used by strangers, and it starts again.
    for (size_t i : half)
      ASSERT_TRUE(served.cache.freeSequence(SequenceId{idOf(i)}).isOk());
    served.fillPool(strangers);
    served.freeFrom(strangers);
    stepAndCompare(served, half, zero, after(1), expected);
    stepAndCompare(served, all, after(1), after(2), expected);
    Status status = manager.createCheckpoint(served.cache, "batch");
    ASSERT_TRUE(status.isOk()) << status.message();
  }
  ServedSequences served = serve(64, 9);
  served.fillPool(strangers);
  Status status = manager.loadCheckpoint(served.cache, "batch");
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_EQ(served.cache.pool().numFree(), 0);
  stepAndCompare(served, {33}, after(2), after(3), expected);
  all.erase(all.begin() + 33);
  stepAndCompare(served, all, after(2), after(3), expected);
}

INSTANTIATE_TEST_SUITE_P(Storage, BatchBytesTest, ::testing::ValuesIn(storages()),
                         [](const ::testing::TestParamInfo<KVStorage> &info) {
                           return std::string(info.param.name);
                         });
