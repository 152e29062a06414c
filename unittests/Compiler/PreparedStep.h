// PreparedStep: a step of a loaded model over a paged cache, prepared once and run many times, as a
// test of the step itself needs it (StepRunner would reserve new tokens for each run).

#ifndef LLMIR_UNITTESTS_COMPILER_PREPAREDSTEP_H
#define LLMIR_UNITTESTS_COMPILER_PREPAREDSTEP_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Engine/LoadedModel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

namespace llmir::testing {

/// The tokens of one sequence in a step.
struct Share {
  int32_t sequence;
  int32_t tokens;
};

/// A step's arguments and the memory that they point to.
class PreparedStep {
public:
  /// Makes room for the shares in `cache` and asks for the logits of all their tokens. At most
  /// `maxWorkers` run it.
  PreparedStep(const LoadedModel &model, PagedKVCache &cache, const std::vector<Share> &shares,
               int32_t maxWorkers = 2)
      : function_(model.step()), maxWorkers_(maxWorkers) {
    std::vector<AppendRequest> requests;
    for (Share share : shares) {
      SequenceId sequence{share.sequence};
      auto first = cache.contains(sequence) ? static_cast<int32_t>(*cache.length(sequence)) : 0;
      for (int32_t position = first; position < first + share.tokens; ++position) {
        rows_.push_back(static_cast<int32_t>(rows_.size()));
        positions_.push_back(position);
        tokens_.push_back((share.sequence * 37 + position * 11 + 5) %
                          model.manifest().vocabularySize);
      }
      cuLengths_.push_back(static_cast<int32_t>(tokens_.size()));
      contextLengths_.push_back(first + share.tokens);
      requests.push_back({sequence, share.tokens});
    }
    ::llmir::Status status = cache.reserve(requests, tables_);
    EXPECT_TRUE(status.isOk()) << status.message();
    view_ = tables_.view(cache.base());
    layout_ = cache.layout();
    setArguments(model);
  }
  PreparedStep(const PreparedStep &) = delete;
  PreparedStep &operator=(const PreparedStep &) = delete;

  /// Runs it in memory that holds nothing useful from before: neither in workspace and logits nor
  /// in the slots of the step's tokens.
  void run(WorkerTeam &team) {
    run(team, [&](const llmir_step_args &args, int32_t worker) {
      function_(&args, worker, team.size());
    });
  }
  /// The same with what every worker calls instead of the step.
  template <typename Call> void run(WorkerTeam &team, Call call) {
    std::memset(workspace_.data(), kPoison, workspace_.size());
    std::memset(logits_.data(), kPoison, logits_.size() * sizeof(float));
    for (int32_t slot : tables_.slots)
      poisonSlot(slot);
    args_.team = &team;
    team.run([&](int32_t worker) { call(args_, worker); });
  }

  /// Replaces the barrier that the step calls; WorkerTeam's at first.
  void setBarrier(void (*barrier)(void *team, int32_t worker)) { args_.barrier = barrier; }

  const std::vector<float> &logits() const { return logits_; }
  bool hasLogits(const std::vector<float> &expected) const {
    return std::memcmp(logits_.data(), expected.data(), expected.size() * sizeof(float)) == 0;
  }

private:
  static constexpr int kPoison = 0xff; // Floats of these bytes are not numbers.

  void poisonSlot(int32_t slot) {
    int64_t keySize = llmir_element_size(layout_.key_type);
    int64_t valueSize = llmir_element_size(layout_.value_type);
    int32_t block = slot / layout_.block_size, token = slot % layout_.block_size;
    for (int32_t layer = 0; layer < layout_.num_layers; ++layer)
      for (int32_t head = 0; head < layout_.num_kv_heads; ++head) {
        uint8_t *key = view_.base + keyOffset(layout_, block, layer, head, token);
        for (int32_t channel = 0; channel < layout_.key_head_dim; ++channel)
          std::memset(key + channel * layout_.key_channel_stride, kPoison, keySize);
        uint8_t *value = view_.base + valueOffset(layout_, block, layer, head, token);
        for (int32_t channel = 0; channel < layout_.value_head_dim; ++channel)
          std::memset(value + channel * layout_.value_channel_stride, kPoison, valueSize);
      }
  }

  void setArguments(const LoadedModel &model) {
    auto numTokens = static_cast<int32_t>(tokens_.size());
    auto numSequences = static_cast<int32_t>(contextLengths_.size());
    logits_.resize(tokens_.size() * static_cast<size_t>(model.manifest().vocabularySize));
    auto workspace = HostMemory::allocate(
        static_cast<size_t>(model.workspaceBytes(numTokens, numSequences, numTokens, maxWorkers_)));
    ASSERT_TRUE(workspace.isOk()) << workspace.status().message();
    workspace_ = *std::move(workspace);
    args_.struct_size = sizeof(llmir_step_args);
    args_.num_tokens = args_.num_rows = numTokens;
    args_.num_sequences = numSequences;
    args_.tokens = tokens_.data();
    args_.positions = positions_.data();
    args_.cu_lengths = cuLengths_.data();
    args_.context_lengths = contextLengths_.data();
    args_.rows = rows_.data();
    args_.logits = logits_.data();
    args_.caches = &view_;
    args_.num_caches = 1;
    args_.weights = model.weights();
    args_.workspace = workspace_.data();
    args_.world_size = 1;
    args_.barrier = &WorkerTeam::barrierEntry;
  }

  llmir_step_fn function_;
  int32_t maxWorkers_;
  std::vector<int32_t> tokens_, positions_, cuLengths_ = {0}, contextLengths_, rows_;
  CacheStepTables tables_;
  llmir_cache_view view_ = {};
  llmir_cache_layout layout_ = {};
  std::vector<float> logits_;
  HostMemory workspace_;
  llmir_step_args args_ = {};
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_PREPAREDSTEP_H
