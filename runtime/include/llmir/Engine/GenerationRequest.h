// GenerationRequest and what comes of it: the records that go into and out of a Generator. Plain
// data and one interface; no behaviour.

#ifndef LLMIR_ENGINE_GENERATIONREQUEST_H
#define LLMIR_ENGINE_GENERATIONREQUEST_H

#include "llmir/Base/Status.h"
#include "llmir/Engine/Sampler.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// What a request does when an end-of-generation token is chosen.
enum class EndOfGeneration { Stop, Ignore };

/// Whether a request's rows of logits are handed to the listener.
enum class LogitsCollection {
  None,
  All ///< A row for each prompt token, then one for each generated token that was fed back.
};

/// Whether the log-probability of each chosen token is computed.
enum class LogProbabilities { None, Chosen };

/// A prompt to continue.
struct GenerationRequest {
  std::vector<int32_t> prompt; ///< At least one token.
  /// Tokens to generate; 0 computes the prompt only; without a number, until the context ends.
  std::optional<int64_t> maxNewTokens;
  SamplingParameters sampling;
  EndOfGeneration endOfGeneration = EndOfGeneration::Stop;
  LogitsCollection logits = LogitsCollection::None;
  LogProbabilities logProbabilities = LogProbabilities::None;
};

/// A token that was chosen.
struct GeneratedToken {
  int32_t token = 0;
  std::optional<double> logProbability; ///< Under softmax(logits), whatever the sampling.
};

/// Why a request ended.
enum class FinishReason {
  EndOfGeneration, ///< The model ended it; the token itself is not reported.
  Length,          ///< maxNewTokens tokens were generated.
  ContextEnd,      ///< The next token would not fit the context.
  Cancelled        ///< The listener asked to stop.
};

/// `stop`, `length`, `context` or `cancelled`.
const char *finishReasonName(FinishReason reason);

/// Whether generation goes on.
enum class Proceed { Continue, Stop };

/// Receives a run's results as they come, on the thread that runs it. Requests are numbered as they
/// were given. An error ends the run and is its result.
class GenerationListener {
public:
  virtual ~GenerationListener() = default;

  /// Asked before each step.
  virtual Proceed beforeStep() { return Proceed::Continue; }
  /// A row [vocabulary size] of a request that collects logits, in order of position.
  virtual Status onLogits(size_t request, std::span<const float> row);
  virtual Status onToken(size_t request, const GeneratedToken &token);
  virtual Status onFinish(size_t request, FinishReason reason);
};

/// What a run did. The seconds of a step that holds prompts and decoded tokens are divided in
/// proportion to their tokens; time spent in the listener is not counted.
struct GenerationStatistics {
  int64_t promptTokens = 0;   ///< Prompt tokens computed.
  int64_t reusedTokens = 0;   ///< Prompt tokens that came from the prefix tree instead.
  double promptSeconds = 0.0; ///< In steps, for them.
  int64_t decodeTokens = 0;   ///< Generated tokens that were fed back.
  double decodeSeconds = 0.0; ///< In steps and sampling, for them.
  /// Steps that decoding took; of a step with prompts, the share of its tokens that were decoded.
  double decodeSteps = 0.0;
  int64_t decodeContextTokens = 0; ///< Tokens of context that decoded tokens attended to, in all.
  int64_t generatedTokens = 0;     ///< Tokens reported.
  int64_t steps = 0;
  double firstTokenSeconds = 0.0; ///< From the start of the run to the first token; 0 without one.
};

} // namespace llmir

#endif // LLMIR_ENGINE_GENERATIONREQUEST_H
