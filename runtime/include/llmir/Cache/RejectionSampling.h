// Rejection sampling: which draft tokens a target model accepts, such that what comes out has
// exactly the target's distribution. Pure functions of probabilities and uniform numbers; they know
// no cache.

#ifndef LLMIR_CACHE_REJECTIONSAMPLING_H
#define LLMIR_CACHE_REJECTIONSAMPLING_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/TokenTree.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// What became of a draft.
struct VerificationResult {
  int64_t acceptedCount = 0;
  /// The accepted tokens' numbers in the draft, from the context on; for a chain 0, 1, 2, …
  std::vector<int32_t> acceptedPath;
  /// The token that comes after the accepted ones, when distributions were given: every
  /// verification yields one more token than it accepts.
  std::optional<int32_t> nextToken;
};

/// Draft tokens with what both models think of them. All rows have `vocabularySize` probabilities.
struct DraftDistributions {
  std::span<const int32_t> tokens; ///< [draft tokens]
  int64_t vocabularySize = 0;
  /// Row i: what draft token i was drawn from, independently of its siblings; [draft tokens][V].
  /// Empty: the draft is deterministic, and siblings differ.
  std::span<const float> draft;
  /// Row 0: the target's next token after the context; row i + 1: after draft token i;
  /// [draft tokens + 1][V].
  std::span<const float> target;
};

/// Uniform numbers in [0, 1), a new one for each call.
using UniformSource = std::function<double()>;

/// Accepts token x with probability min(1, p(x) / q(x)) and goes on with the normalised positive
/// part of p - q where it is rejected, for one sibling after the other (Leviathan et al., "Fast
/// inference from transformers via speculative decoding", ICML 2023; for trees Miao et al.,
/// "SpecInfer", ASPLOS 2024). InvalidArgument, and an unchanged result, for arrays of wrong sizes,
/// tokens outside the vocabulary, rows that are no distributions, and tokens that their draft row
/// gives no probability.
Status verifyDraft(const TokenTree &tree, const DraftDistributions &distributions,
                   const UniformSource &uniform, VerificationResult &result);
/// The same with memory of a caller who verifies often: [vocabulary] numbers are kept in `scratch`.
Status verifyDraft(const TokenTree &tree, const DraftDistributions &distributions,
                   const UniformSource &uniform, VerificationResult &result,
                   std::vector<double> &scratch);

/// The same for a deterministic draft of which only the target's log-probability of each token
/// after its predecessors is known: accepts with probability p, siblings by what is left of p. No
/// next token: that is drawn by whoever has the distributions. InvalidArgument for a number of
/// log-probabilities that is not the tree's size, NaN, and values above 0 by more than rounding.
Status verifyDraft(const TokenTree &tree, std::span<const float> targetLogProbabilities,
                   const UniformSource &uniform, VerificationResult &result);

} // namespace llmir

#endif // LLMIR_CACHE_REJECTIONSAMPLING_H
