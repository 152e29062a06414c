// Greedy choice, and drawing from a softmax that is cut by rank (top-k) and by mass (top-p). A row
// is read in blocks, whose maxima say which of them can hold one of the most likely tokens; the
// full vocabulary is never sorted unless the kept mass demands it.
//
// Floor: the row's bytes over the second-level cache's bandwidth, once; where a sum over all tokens
// is wanted, an exponential for each of them, some 15 instructions a vector.

#include "llmir/Engine/Sampler.h"

#include "llmir/Device/CPUFeatures.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstring>
#include <functional>
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

/// Eight numbers, which the compiler keeps in as many registers as it takes.
typedef float Floats __attribute__((vector_size(32)));
typedef int32_t Integers __attribute__((vector_size(32)));
static constexpr size_t numLanes = 8;

/// exp(x) for x of at most 0, within 3e-7 of it; 0 below -80. Range reduction by ln 2 and the
/// degree-5 polynomial of Cephes' expf.
[[gnu::always_inline]] static inline void replaceByExp(Floats &x) {
  const Floats least = Floats{} - 80.0f;
  const Integers isLess = x < least;
  const Floats bounded = isLess ? least : x;
  // Adding 1.5 * 2^23 rounds to an integer, which is then in the low bits.
  const Floats shift = Floats{} + 12582912.0f;
  const Floats shifted = bounded * 1.44269504f + shift;
  const Floats power = shifted - shift;
  const Floats r = bounded - power * 0.693359375f + power * 2.12194440e-4f;
  Floats p = Floats{} + 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const Integers exponent = ((Integers)shifted - (Integers)shift) << 23;
  x = isLess ? Floats{} : (Floats)((Integers)p + exponent);
}

/// exp((logit - maximum) * inverseTemperature) of each logit; their sum, in eight parts, so that
/// its order is one for every width of vectors.
[[gnu::always_inline]] static inline float weighWith(std::span<const float> logits, float maximum,
                                                     float inverseTemperature, float *weights) {
  Floats parts = {};
  auto weigh = [&](size_t i, size_t bytes) __attribute__((always_inline)) {
    Floats x = Floats{} - std::numeric_limits<float>::infinity();
    std::memcpy(&x, logits.data() + i, bytes);
    x = (x - maximum) * inverseTemperature;
    replaceByExp(x);
    std::memcpy(weights + i, &x, bytes);
    parts += x;
  };
  size_t whole = logits.size() / numLanes * numLanes;
  for (size_t i = 0; i < whole; i += numLanes)
    weigh(i, sizeof(Floats));
  if (whole < logits.size())
    weigh(whole, (logits.size() - whole) * sizeof(float));
  float sum = 0.0f;
  for (size_t lane = 0; lane < numLanes; ++lane)
    sum += parts[lane];
  return sum;
}

#if defined(__x86_64__)
/// The same in vectors of 256 bits; without fused operations, so that the bytes are the same.
[[gnu::target("avx2")]] static float weighAVX2(std::span<const float> logits, float maximum,
                                               float inverseTemperature, float *weights) {
  return weighWith(logits, maximum, inverseTemperature, weights);
}
#endif

static float weighBlock(std::span<const float> logits, float maximum, float inverseTemperature,
                        float *weights) {
#if defined(__x86_64__)
  static const bool hasAVX2 = CPUFeatures::host().has("avx2");
  if (hasAVX2)
    return weighAVX2(logits, maximum, inverseTemperature, weights);
#endif
  return weighWith(logits, maximum, inverseTemperature, weights);
}

StatusOr<int32_t> greedyToken(std::span<const float> logits) {
  // Eight independent maxima, so that the scan is bound by memory and not by the compare's latency.
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
      weights_(static_cast<size_t>(vocabularySize)),
      blocks_((static_cast<size_t>(vocabularySize) + blockSize - 1) / blockSize),
      ranked_(blocks_.size()) {}

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
    return drawFromAll(logits, maximum, static_cast<float>(1.0 / parameters.temperature), uniform);
  return drawFromTop(logits, maximum, parameters, uniform);
}

/// The first index at which the running sum of `weights`, which starts at `sum`, exceeds `target`;
/// the last index of a positive weight if rounding keeps the sum below it.
static size_t firstAbove(std::span<const float> weights, double target, double sum) {
  size_t last = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] > 0.0f)
      last = i;
    sum += weights[i];
    if (sum > target)
      return i;
  }
  return last;
}

double Sampler::sumWeights(std::span<const float> logits, float maximum, float inverseTemperature) {
  double total = 0.0;
  for (size_t block = 0; block < blocks_.size(); ++block) {
    size_t first = block * blockSize;
    blocks_[block] = weighBlock(logits.subspan(first, std::min(blockSize, logits.size() - first)),
                                maximum, inverseTemperature, weights_.data() + first);
    total += blocks_[block];
  }
  return total;
}

int32_t Sampler::drawFromAll(std::span<const float> logits, float maximum, float inverseTemperature,
                             double uniform) {
  double target = uniform * sumWeights(logits, maximum, inverseTemperature);
  size_t block = firstAbove(blocks_, target, 0.0);
  double before = 0.0;
  for (size_t i = 0; i < block; ++i)
    before += blocks_[i];
  size_t first = block * blockSize, end = std::min(first + blockSize, logits.size());
  size_t inBlock = firstAbove(std::span(weights_).subspan(first, end - first), target, before);
  return static_cast<int32_t>(first + inBlock);
}

size_t Sampler::gatherTop(std::span<const float> logits, size_t count) {
  float least = -std::numeric_limits<float>::infinity();
  for (size_t block = 0; block < blocks_.size(); ++block) {
    size_t first = block * blockSize, end = std::min(first + blockSize, logits.size());
    float best[8];
    std::fill(std::begin(best), std::end(best), least);
    size_t i = first;
    for (; i + 8 <= end; i += 8)
      for (size_t lane = 0; lane < 8; ++lane)
        best[lane] = logits[i + lane] > best[lane] ? logits[i + lane] : best[lane];
    for (; i < end; ++i)
      best[0] = std::max(best[0], logits[i]);
    blocks_[block] = *std::max_element(std::begin(best), std::end(best));
  }
  // As many blocks have a logit of at least this one's maximum, so that the others' are not among
  // the `count` largest.
  if (count <= blocks_.size()) {
    ranked_ = blocks_;
    auto nth = ranked_.begin() + static_cast<ptrdiff_t>(count - 1);
    std::nth_element(ranked_.begin(), nth, ranked_.end(), std::greater<>());
    least = *nth;
  }
  size_t gathered = 0;
  for (size_t block = 0; block < blocks_.size(); ++block) {
    if (blocks_[block] < least)
      continue;
    size_t first = block * blockSize, end = std::min(first + blockSize, logits.size());
    for (size_t i = first; i < end; ++i)
      if (logits[i] >= least)
        candidates_[gathered++] = {logits[i], static_cast<int32_t>(i)};
  }
  return gathered;
}

bool Sampler::ranksBefore(const Candidate &a, const Candidate &b) {
  return a.logit != b.logit ? a.logit > b.logit : a.token < b.token;
}

int32_t Sampler::drawFromTop(std::span<const float> logits, float maximum,
                             const SamplingParameters &parameters, double uniform) {
  constexpr size_t firstPortion = 256;
  auto inverseTemperature = static_cast<float>(1.0 / parameters.temperature);
  auto weightOf = [&](float logit) {
    float weight;
    return weighBlock({&logit, 1}, maximum, inverseTemperature, &weight);
  };
  bool hasTopK = parameters.topK > 0 && static_cast<size_t>(parameters.topK) < logits.size();
  size_t numKept = hasTopK ? static_cast<size_t>(parameters.topK) : logits.size();
  double total = hasTopK ? 0.0 : sumWeights(logits, maximum, inverseTemperature);

  // Rank tokens in growing portions until they hold the mass that top-p keeps: a peaked row needs
  // the first portion only.
  size_t numRanked = 0, numChosen = 0;
  double mass = 0.0;
  for (size_t portion = hasTopK ? numKept : std::min(firstPortion, numKept);;
       portion = std::min(numKept, 4 * portion)) {
    size_t gathered = gatherTop(logits, portion);
    auto begin = candidates_.begin();
    std::partial_sort(begin, begin + static_cast<ptrdiff_t>(portion),
                      begin + static_cast<ptrdiff_t>(gathered), ranksBefore);
    if (hasTopK)
      for (size_t i = 0; i < numKept; ++i)
        total += weightOf(candidates_[i].logit);
    for (numRanked = portion; numChosen < numRanked && mass < parameters.topP * total;
         ++numChosen) {
      weights_[numChosen] = weightOf(candidates_[numChosen].logit);
      mass += weights_[numChosen];
    }
    if (numRanked == numKept || mass >= parameters.topP * total)
      break;
  }
  size_t chosen = firstAbove({weights_.data(), numChosen}, uniform * mass, 0.0);
  return candidates_[chosen].token;
}

} // namespace llmir
