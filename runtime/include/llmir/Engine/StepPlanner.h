// StepPlanner: decides how many tokens of which sequence the next step computes. A pure function of
// plain records, so that it is tested without a model; admission and memory are the caller's.

#ifndef LLMIR_ENGINE_STEPPLANNER_H
#define LLMIR_ENGINE_STEPPLANNER_H

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// What a running sequence is doing.
enum class SequencePhase {
  Prompt, ///< Tokens of its prompt are still to be computed.
  Decode  ///< Its last token was generated and is to be fed back.
};

/// A running sequence as the planner sees it.
struct SequenceProgress {
  size_t sequence = 0; ///< The caller's number for it.
  SequencePhase phase = SequencePhase::Prompt;
  int64_t pendingTokens = 0; ///< Known tokens that are not computed yet.
};

/// A sequence's part in a step.
struct StepShare {
  size_t sequence = 0;
  SequencePhase phase = SequencePhase::Prompt;
  int64_t tokens = 0; ///< The first ones of those pending; at least one.
};

/// Bounds of a step.
struct StepBudget {
  int64_t promptTokens = 0; ///< Of all prompts together.
  int64_t sequences = 0;
};

/// Fills `plan` (which keeps its memory) for sequences in order of arrival: first every sequence
/// that decodes, one token each, then prompts in order until the budget is spent. Sequences past
/// the budget have no share.
void planStep(std::span<const SequenceProgress> sequences, const StepBudget &budget,
              std::vector<StepShare> &plan);

} // namespace llmir

#endif // LLMIR_ENGINE_STEPPLANNER_H
