// Decode first, so that running requests keep their pace; prompts fill what is left of the budget.

#include "llmir/Engine/StepPlanner.h"

#include <algorithm>

namespace llmir {

static bool isWaitingPrompt(const SequenceProgress &progress) {
  return progress.phase == SequencePhase::Prompt && progress.pendingTokens > 0;
}

void planStep(std::span<const SequenceProgress> sequences, const StepBudget &budget,
              std::vector<StepShare> &plan) {
  plan.clear();
  auto isFull = [&] { return static_cast<int64_t>(plan.size()) >= budget.sequences; };
  for (const SequenceProgress &progress : sequences)
    if (progress.phase == SequencePhase::Decode && progress.pendingTokens > 0 && !isFull())
      plan.push_back({progress.sequence, SequencePhase::Decode, 1});

  // An even share for each prompt, rounded up, so that the budget is spent while prompts need it;
  // what short prompts leave goes to the first ones that can use it.
  size_t firstPrompt = plan.size();
  int64_t left = budget.promptTokens;
  int64_t numPrompts = std::count_if(sequences.begin(), sequences.end(), isWaitingPrompt);
  for (const SequenceProgress &progress : sequences) {
    if (!isWaitingPrompt(progress))
      continue;
    int64_t share = (left + numPrompts - 1) / numPrompts;
    int64_t tokens = std::min(progress.pendingTokens, share);
    --numPrompts;
    if (tokens == 0 || isFull())
      break;
    plan.push_back({progress.sequence, SequencePhase::Prompt, tokens});
    left -= tokens;
  }
  size_t next = firstPrompt;
  for (const SequenceProgress &progress : sequences) {
    if (next == plan.size() || left == 0)
      break;
    if (!isWaitingPrompt(progress))
      continue;
    int64_t more = std::min(progress.pendingTokens - plan[next].tokens, left);
    plan[next++].tokens += more;
    left -= more;
  }
}

} // namespace llmir
