// FakeLanguageModel: the fake language model as the engine's tests use it, and what it must give.

#ifndef LLMIR_UNITTESTS_ENGINE_FAKELANGUAGEMODEL_H
#define LLMIR_UNITTESTS_ENGINE_FAKELANGUAGEMODEL_H

#include "llmir/Engine/Generator.h"

#include "FakeLanguage.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace llmir::testing {

inline CacheParameters fakeCacheParameters() {
  CacheParameters cache;
  cache.keyType = cache.valueType = ElementType::F32;
  cache.numLayers = cache.numKVHeads = 1;
  cache.keyHeadDim = cache.valueHeadDim = FAKE_HEAD_DIM;
  cache.blockSize = FAKE_BLOCK_SIZE;
  cache.maxSeqLen = FAKE_MAX_LENGTH;
  return cache;
}

inline StepProgram fakeProgram() {
  StepProgram program;
  program.step = &llmir_model_step;
  program.vocabularySize = FAKE_VOCABULARY;
  program.maxSequenceLength = FAKE_MAX_LENGTH;
  program.workspace = {FAKE_FIXED, FAKE_PER_TOKEN, FAKE_PER_SEQUENCE, FAKE_PER_ROW,
                       FAKE_PER_WORKER};
  program.caches = {fakeCacheParameters()};
  return program;
}

/// The logits after `context`.
inline std::vector<float> fakeLogits(std::span<const int32_t> context) {
  uint64_t hash = 0;
  for (int32_t token : context)
    hash = fake_language_extend(hash, token);
  std::vector<float> logits(FAKE_VOCABULARY);
  for (int32_t v = 0; v < FAKE_VOCABULARY; ++v)
    logits[static_cast<size_t>(v)] = fake_language_logit(hash, v);
  return logits;
}

/// The greedy continuation of `prompt` by `count` tokens.
inline std::vector<int32_t> fakeContinuation(std::vector<int32_t> prompt, size_t count) {
  std::vector<int32_t> continuation;
  while (continuation.size() < count) {
    std::vector<float> logits = fakeLogits(prompt);
    auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
    continuation.push_back(static_cast<int32_t>(best));
    prompt.push_back(continuation.back());
  }
  return continuation;
}

/// Keeps all that a run reports.
class RecordingListener : public GenerationListener {
public:
  explicit RecordingListener(size_t numRequests)
      : tokens(numRequests), rows(numRequests), reasons(numRequests) {}

  Proceed beforeStep() override {
    return numSteps++ < stepLimit ? Proceed::Continue : Proceed::Stop;
  }
  Status onLogits(size_t request, std::span<const float> row) override {
    rows[request].emplace_back(row.begin(), row.end());
    return Status::ok();
  }
  Status onToken(size_t request, const GeneratedToken &token) override {
    tokens[request].push_back(token.token);
    logProbabilities.push_back(token.logProbability);
    return Status::ok();
  }
  Status onFinish(size_t request, FinishReason reason) override {
    reasons[request] = reason;
    finished.push_back(request);
    return Status::ok();
  }

  int64_t stepLimit = 1 << 20;
  int64_t numSteps = 0;
  std::vector<std::vector<int32_t>> tokens;
  std::vector<std::vector<std::vector<float>>> rows;
  std::vector<std::optional<FinishReason>> reasons;
  std::vector<std::optional<double>> logProbabilities;
  std::vector<size_t> finished;
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_ENGINE_FAKELANGUAGEMODEL_H
