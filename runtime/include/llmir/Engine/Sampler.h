// Sampler: chooses the next token from a row of logits. It knows nothing of requests, batches or
// text; the same row, parameters and random number give the same token.

#ifndef LLMIR_ENGINE_SAMPLER_H
#define LLMIR_ENGINE_SAMPLER_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

/// How a token is chosen. The distribution is softmax(logits / temperature), cut to the `topK` most
/// likely tokens, then to the smallest set of most likely tokens whose share of what is left is at
/// least `topP`. Equal logits rank by token id.
struct SamplingParameters {
  float temperature = 0.0f; ///< 0: the most likely token (greedy); the rest is then ignored.
  int32_t topK = 0;         ///< 0: no limit.
  float topP = 1.0f;        ///< 1: no limit.
  uint64_t seed = 0;        ///< Of the request's RandomStream,
  uint64_t stream = 0;      ///< and which of the streams of that seed.

  /// Whether every field is in range: temperature finite and >= 0, topK >= 0, 0 < topP <= 1.
  Status validate() const;
};

/// Scratch space for one thread's sampling; allocates when it is made and never again.
class Sampler {
public:
  /// A sampler for rows of `vocabularySize` logits.
  explicit Sampler(int64_t vocabularySize);

  /// The chosen token of a row [vocabularySize]. `uniform` in [0, 1) decides where the temperature
  /// is not 0. Internal error if a logit is not a number or none is finite; the parameters must be
  /// valid.
  StatusOr<int32_t> sample(std::span<const float> logits, const SamplingParameters &parameters,
                           double uniform);

private:
  struct Candidate {
    float logit;
    int32_t token;
  };
  /// Logits of which one maximum or one sum is kept.
  static constexpr size_t blockSize = 64;

  /// exp((logit - maximum) / temperature) of all tokens into weights_ and their sums into blocks_;
  /// the sum of all.
  double sumWeights(std::span<const float> logits, float maximum, float inverseTemperature);
  /// Puts tokens into candidates_, the `count` most likely ones among them; how many.
  size_t gatherTop(std::span<const float> logits, size_t count);
  int32_t drawFromAll(std::span<const float> logits, float maximum, float inverseTemperature,
                      double uniform);
  int32_t drawFromTop(std::span<const float> logits, float maximum,
                      const SamplingParameters &parameters, double uniform);
  static bool ranksBefore(const Candidate &a, const Candidate &b);

  std::vector<Candidate> candidates_; // [vocabularySize]
  std::vector<float> weights_;        // [vocabularySize]
  std::vector<float> blocks_;         // [blocks of the vocabulary]
  std::vector<float> ranked_;         // [blocks of the vocabulary]
};

/// The most likely token of a row, the first one of equals; internal error as in Sampler::sample.
StatusOr<int32_t> greedyToken(std::span<const float> logits);

/// The natural logarithm of `token`'s probability under softmax(logits). The sums are in double.
double logProbability(std::span<const float> logits, int32_t token);

} // namespace llmir

#endif // LLMIR_ENGINE_SAMPLER_H
