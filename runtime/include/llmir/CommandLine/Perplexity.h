// Perplexity: how well a model predicts a text.

#ifndef LLMIR_COMMANDLINE_PERPLEXITY_H
#define LLMIR_COMMANDLINE_PERPLEXITY_H

#include "llmir/Base/Status.h"
#include "llmir/Engine/GenerationRequest.h"
#include "llmir/Engine/Generator.h"

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

struct PerplexityOptions {
  int64_t windowLength = 0; ///< Tokens that the model sees at once, at least 2.
  /// Stands at the start of each window where the model wants it; not counted.
  std::optional<int32_t> bos;
};

struct PerplexityResult {
  double perplexity = 0.0; ///< exp of the mean negative log-probability of the predicted tokens.
  int64_t numPredicted = 0;
};

/// The windows of a text: consecutive, without overlap, each a request that computes its prompt
/// only. A last window that would predict nothing is left out.
std::vector<GenerationRequest> makePerplexityRequests(std::span<const int32_t> tokens,
                                                      const PerplexityOptions &options);

/// Runs the windows one by one. In each, every token after the first is predicted from those before
/// it. FailedPrecondition when it is interrupted; InvalidArgument when nothing is predicted.
StatusOr<PerplexityResult> computePerplexity(Generator &generator,
                                             std::span<const GenerationRequest> windows);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_PERPLEXITY_H
