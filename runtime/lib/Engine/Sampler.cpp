// Greedy choice, and drawing from a softmax that is cut by rank (top-k) and by mass (top-p). The
// full vocabulary is never sorted unless the kept mass demands it.

#include "llmir/Engine/Sampler.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <limits>

namespace llmir {

Status SamplingParameters::validate() const {
  if (!std::isfinite(temperature) || temperature < 0.0f)
    return invalidArgument("expected a temperature of at least 0, but got " +
                           std::to_string(temperature));
  if (topK < 0)
    return invalidArgument("expected a top-k of at least 0, but got " + std::to_string(topK));
  if (!(topP > 0.0f && topP <= 1.0f))
    return invalidArgument("expected a top-p in (0, 1], but got " + std::to_string(topP));
  return Status::ok();
}

StatusOr<int32_t> greedyToken(std::span<const float> logits) {
  // Eight independent maxima, so that the scan is bound by memory and not by the compare's latency.
  constexpr size_t numLanes = 8;
  float best[numLanes];
  std::fill(std::begin(best), std::end(best), -std::numeric_limits<float>::infinity());
  bool hasNaN = false;
  size_t index = 0;
  for (; index + numLanes <= logits.size(); index += numLanes)
    for (size_t lane = 0; lane < numLanes; ++lane) {
      float logit = logits[index + lane];
      hasNaN |= logit != logit;
      best[lane] = logit > best[lane] ? logit : best[lane];
    }
  for (; index < logits.size(); ++index) {
    hasNaN |= logits[index] != logits[index];
    best[0] = logits[index] > best[0] ? logits[index] : best[0];
  }
  if (hasNaN)
    return internalError("the model computed logits that are not numbers");
  float maximum = *std::max_element(std::begin(best), std::end(best));
  if (!std::isfinite(maximum))
    return internalError("the model computed no finite logit");
  auto first = std::find(logits.begin(), logits.end(), maximum);
  return static_cast<int32_t>(first - logits.begin());
}

double logProbability(std::span<const float> logits, int32_t token) {
  assert(token >= 0 && static_cast<size_t>(token) < logits.size() && "no such token");
  float maximum = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (float logit : logits)
    sum += std::exp(logit - maximum);
  return static_cast<double>(logits[static_cast<size_t>(token)] - maximum) - std::log(sum);
}

Sampler::Sampler(int64_t vocabularySize)
    : candidates_(static_cast<size_t>(vocabularySize)),
      weights_(static_cast<size_t>(vocabularySize)) {}

StatusOr<int32_t> Sampler::sample(std::span<const float> logits,
                                  const SamplingParameters &parameters, double uniform) {
  assert(logits.size() == candidates_.size() && "a row has as many logits as the vocabulary");
  StatusOr<int32_t> greedy = greedyToken(logits);
  if (!greedy.isOk() || parameters.temperature == 0.0f || parameters.topK == 1)
    return greedy;
  float maximum = logits[static_cast<size_t>(*greedy)];
  bool isCut = (parameters.topK > 0 && static_cast<size_t>(parameters.topK) < logits.size()) ||
               parameters.topP < 1.0f;
  if (!isCut)
    return drawFromAll(logits, maximum, 1.0 / parameters.temperature, uniform);
  return drawFromTop(logits, maximum, parameters, uniform);
}

/// The first index at which the running sum of `weights` exceeds `target`; the last index of a
/// positive weight if rounding keeps the sum below it.
static size_t firstAbove(std::span<const double> weights, double target) {
  double sum = 0.0;
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0.0)
      last = i;
    sum += weights[i];
    if (sum > target)
      return i;
  }
  return last;
}

int32_t Sampler::drawFromAll(std::span<const float> logits, float maximum,
                             double inverseTemperature, double uniform) {
  double total = 0.0;
  for (size_t i = 0; i < logits.size(); ++i) {
    weights_[i] = std::exp((logits[i] - maximum) * inverseTemperature);
    total += weights_[i];
  }
  return static_cast<int32_t>(firstAbove(weights_, uniform * total));
}

bool Sampler::ranksBefore(const Candidate &a, const Candidate &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

int32_t Sampler::drawFromTop(std::span<const float> logits, float maximum,
                             const SamplingParameters &parameters, double uniform) {
  double inverseTemperature = 1.0 / parameters.temperature;
  auto weightOf = [&](float logit) { return std::exp((logit - maximum) * inverseTemperature); };
  for (size_t i = 0; i < logits.size(); ++i)
    candidates_[i] = {logits[i], static_cast<int32_t>(i)};

  size_t numKept = candidates_.size();
  double total = 0.0;
  if (parameters.topK > 0 && static_cast<size_t>(parameters.topK) < numKept) {
    numKept = static_cast<size_t>(parameters.topK);
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(numKept - 1),
                     candidates_.end(), ranksBefore);
    std::sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(numKept),
              ranksBefore);
    for (size_t i = 0; i < numKept; ++i)
      total += weightOf(candidates_[i].logit);
  } else {
    for (float logit : logits)
      total += weightOf(logit);
  }

  // Rank candidates in growing portions until they hold the mass that top-p keeps: a peaked row
  // needs the first portion only.
  constexpr size_t firstPortion = 256;
  size_t numRanked = parameters.topK > 0 && numKept < candidates_.size() ? numKept : 0;
  size_t numChosen = 0;
  double mass = 0.0;
  while (numChosen < numKept && mass < parameters.topP * total) {
    if (numChosen == numRanked) {
      size_t portionEnd = std::min(numKept, std::max(firstPortion, 4 * numRanked));
      auto from = candidates_.begin() + static_cast<ptrdiff_t>(numRanked);
      auto to = candidates_.begin() + static_cast<ptrdiff_t>(portionEnd);
      std::partial_sort(from, to, candidates_.end(), ranksBefore);
      numRanked = portionEnd;
    }
    weights_[numChosen] = weightOf(candidates_[numChosen].logit);
    mass += weights_[numChosen++];
  }
  size_t chosen = firstAbove({weights_.data(), numChosen}, uniform * mass);
  return candidates_[chosen].token;
}

} // namespace llmir
