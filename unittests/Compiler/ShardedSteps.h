// Steps of a model that may be one rank's part: a fixed conversation of two sequences, whose logits
// are compared between ranks, numbers of ranks and transports.

#ifndef LLMIR_UNITTESTS_COMPILER_SHARDEDSTEPS_H
#define LLMIR_UNITTESTS_COMPILER_SHARDEDSTEPS_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Distributed/Collective.h"
#include "llmir/Engine/LoadedModel.h"
#include "llmir/Engine/StepRunner.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace llmir::testing {

/// The artifact of a rank, by a path without it.
inline std::string rankPath(const std::string &prefix, int32_t rank) {
  return prefix + "." + std::to_string(rank) + ".llmir";
}

/// The logits of all tokens of a prompt, of a mixed step, and of tokens one by one.
inline StatusOr<std::vector<float>> runConversation(const LoadedModel &model, int32_t workers,
                                                    Collective *group) {
  auto team = WorkerTeam::create({.workers = workers, .pinning = Pinning::None});
  if (!team)
    return team.status();
  PagedKVCache cache(model.manifest().caches.front(), 32);
  PagedKVCache *caches[] = {&cache};
  auto runner = StepRunner::create(stepProgramOf(model), **team, caches, {32, 4, 32}, group);
  if (!runner)
    return runner.status();

  struct Share {
    int32_t sequence;
    int32_t tokens;
  };
  const std::vector<std::vector<Share>> steps = {{{1, 11}},        {{2, 3}, {1, 1}}, {{1, 1}},
                                                 {{1, 1}, {2, 1}}, {{2, 6}},         {{1, 1}}};
  std::vector<float> logits;
  for (const std::vector<Share> &step : steps) {
    (*runner)->batch().clear();
    for (Share share : step) {
      SequenceId id{share.sequence};
      int64_t length = cache.contains(id) ? *cache.length(id) : 0;
      std::vector<int32_t> tokens;
      for (int64_t position = length; position < length + share.tokens; ++position)
        tokens.push_back(static_cast<int32_t>((share.sequence * 53 + position * 17 + 3) %
                                              model.manifest().vocabularySize));
      auto rows = (*runner)->batch().add({id, tokens, length, LogitsRows::All});
      if (!rows)
        return rows.status();
    }
    LLMIR_RETURN_IF_ERROR((*runner)->run());
    for (int64_t row = 0; row < (*runner)->batch().numRows(); ++row) {
      std::span<const float> values = (*runner)->logits(row);
      logits.insert(logits.end(), values.begin(), values.end());
    }
  }
  return logits;
}

/// The largest difference, relative to the largest logit (or 1); infinity for other sizes and
/// numbers that are not finite.
inline double largestDifference(const std::vector<float> &actual,
                                const std::vector<float> &expected) {
  if (actual.size() != expected.size() || actual.empty())
    return INFINITY;
  double difference = 0, scale = 1;
  for (size_t i = 0; i < actual.size(); ++i) {
    if (!std::isfinite(actual[i]) || !std::isfinite(expected[i]))
      return INFINITY;
    difference = std::max(difference, std::fabs(double(actual[i]) - expected[i]));
    scale = std::max(scale, std::fabs(double(expected[i])));
  }
  return difference / scale;
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_SHARDEDSTEPS_H
