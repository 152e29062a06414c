// Decode first, so that running requests keep their pace; prompts fill what is left of the budget.

#include "llmir/Engine/StepPlanner.h"

#include <algorithm>

namespace llmir {

void planStep(std::span<const SequenceProgress> sequences, const StepBudget &budget,
              std::vector<StepShare> &plan) {
  plan.clear();
  auto isFull = [&] { return static_cast<int64_t>(plan.size()) >= budget.sequences; };
  for (const SequenceProgress &progress : sequences)
    if (progress.phase == SequencePhase::Decode && progress.pendingTokens > 0 && !isFull())
      plan.push_back({progress.sequence, SequencePhase::Decode, 1});

  int64_t left = budget.promptTokens;
  for (const SequenceProgress &progress : sequences) {
    int64_t tokens = std::min(progress.pendingTokens, left);
    if (progress.phase != SequencePhase::Prompt || tokens <= 0 || isFull())
      continue;
    plan.push_back({progress.sequence, SequencePhase::Prompt, tokens});
    left -= tokens;
  }
}

} // namespace llmir
