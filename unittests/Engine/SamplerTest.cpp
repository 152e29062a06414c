// Sampler: greedy ties, cut distributions against exact probabilities, bad rows.

#include "llmir/Engine/Sampler.h"

#include "llmir/Base/RandomStream.h"

#include <algorithm>
#include <cmath>
#include <gtest/gtest.h>
#include <limits>
#include <map>
#include <numeric>

using namespace llmir;

static std::map<int32_t, double> drawMany(const std::vector<float> &logits,
                                          const SamplingParameters &parameters) {
  constexpr int numDraws = 40000;
  Sampler sampler(static_cast<int64_t>(logits.size()));
  RandomStream stream{parameters.seed, 0};
  std::map<int32_t, double> shares;
  for (uint64_t i = 0; i < numDraws; ++i) {
    StatusOr<int32_t> token = sampler.sample(logits, parameters, stream.uniform(i));
    EXPECT_TRUE(token.isOk());
    shares[*token] += 1.0 / numDraws;
  }
  return shares;
}

static void expectShares(const std::map<int32_t, double> &actual,
                         const std::map<int32_t, double> &expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (auto [token, share] : expected)
    EXPECT_NEAR(actual.count(token) ? actual.at(token) : 0.0, share, 0.012) << "token " << token;
}

TEST(SamplerTest, GreedyTakesTheFirstOfEqualLogits) {
  std::vector<float> logits(37, -1.0f);
  logits[11] = logits[20] = logits[36] = 3.5f;
  EXPECT_EQ(*greedyToken(logits), 11);
  Sampler sampler(37);
  EXPECT_EQ(*sampler.sample(logits, {}, 0.99), 11);
}

TEST(SamplerTest, RefusesRowsThatAreNoNumbers) {
  std::vector<float> logits(21, 0.0f);
  logits[20] = std::nanf("");
  EXPECT_EQ(greedyToken(logits).status().code(), StatusCode::Internal);
  std::vector<float> nothing(21, -std::numeric_limits<float>::infinity());
  EXPECT_FALSE(greedyToken(nothing).isOk());
}

TEST(SamplerTest, TemperatureScalesTheSoftmax) {
  SamplingParameters parameters;
  parameters.temperature = 2.0f;
  parameters.seed = 1;
  // exp(logit / 2) is 1, 2, 3, 4.
  std::vector<float> logits;
  for (float weight : {1.0f, 2.0f, 3.0f, 4.0f})
    logits.push_back(2.0f * std::log(weight));
  expectShares(drawMany(logits, parameters), {{0, 0.1}, {1, 0.2}, {2, 0.3}, {3, 0.4}});
}

TEST(SamplerTest, TopKKeepsTheMostLikely) {
  SamplingParameters parameters;
  parameters.temperature = 1.0f;
  parameters.topK = 2;
  std::vector<float> logits = {std::log(1.0f), std::log(4.0f), std::log(2.0f), std::log(6.0f)};
  expectShares(drawMany(logits, parameters), {{1, 0.4}, {3, 0.6}});
  parameters.topK = 1;
  expectShares(drawMany(logits, parameters), {{3, 1.0}});
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachTheMass) {
  SamplingParameters parameters;
  parameters.temperature = 1.0f;
  std::vector<float> logits = {std::log(0.1f), std::log(0.5f), std::log(0.15f), std::log(0.25f)};
  parameters.topP = 0.7f;
  expectShares(drawMany(logits, parameters), {{1, 2.0 / 3.0}, {3, 1.0 / 3.0}});
  parameters.topP = 0.3f;
  expectShares(drawMany(logits, parameters), {{1, 1.0}});
  // With top-k, the mass is of what top-k keeps: 0.5 of 0.75 is less than 0.7.
  parameters.topP = 0.7f;
  parameters.topK = 2;
  expectShares(drawMany(logits, parameters), {{1, 2.0 / 3.0}, {3, 1.0 / 3.0}});
}

TEST(SamplerTest, TopPOfAFlatRowRanksMoreThanOnePortion) {
  SamplingParameters parameters;
  parameters.temperature = 1.0f;
  parameters.topP = 0.5f;
  std::vector<float> logits(3000, 0.25f);
  Sampler sampler(3000);
  // Equal logits rank by id, so tokens 0 to 1499 are kept and the draw runs through them in order.
  EXPECT_EQ(*sampler.sample(logits, parameters, 0.0), 0);
  EXPECT_NEAR(*sampler.sample(logits, parameters, 0.5), 750, 1);
  EXPECT_NEAR(*sampler.sample(logits, parameters, 0.9999999), 1499, 1);
}

/// The tokens that are kept, most likely first (all: by id), and their probabilities in double.
static std::vector<std::pair<int32_t, double>>
exactDistribution(const std::vector<float> &logits, const SamplingParameters &parameters) {
  std::vector<std::pair<int32_t, double>> kept;
  double largest = *std::max_element(logits.begin(), logits.end());
  for (size_t i = 0; i < logits.size(); ++i)
    kept.emplace_back(int32_t(i),
                      std::exp((double(logits[i]) - largest) / double(parameters.temperature)));
  bool hasTopK = parameters.topK > 0 && size_t(parameters.topK) < kept.size();
  if (hasTopK || parameters.topP < 1.0f)
    std::sort(kept.begin(), kept.end(), [&](const auto &a, const auto &b) {
      return std::pair(-logits[size_t(a.first)], a.first) <
             std::pair(-logits[size_t(b.first)], b.first);
    });
  if (hasTopK)
    kept.resize(size_t(parameters.topK));
  auto sum = [&] {
    return std::accumulate(kept.begin(), kept.end(), 0.0,
                           [](double total, const auto &entry) { return total + entry.second; });
  };
  double wanted = double(parameters.topP) * sum(), mass = 0.0;
  size_t count = 0;
  while (count < kept.size() && mass < wanted)
    mass += kept[count++].second;
  kept.resize(count);
  double total = sum();
  for (auto &entry : kept)
    entry.second /= total;
  return kept;
}

TEST(SamplerTest, DrawsFollowTheExactDistribution) {
  // Rows that are not whole blocks or vectors, with ties, and more tokens kept than blocks.
  for (size_t size : {1, 7, 63, 64, 65, 1000, 5003}) {
    RandomStream random{size, 1};
    std::vector<float> logits;
    for (size_t i = 0; i < size; ++i)
      logits.push_back(std::round(float(random.uniform(i)) * 400.0f) / 25.0f - 8.0f);
    Sampler sampler(static_cast<int64_t>(size));
    for (auto [topK, topP] :
         {std::pair{0, 1.0f}, {40, 1.0f}, {100, 0.9f}, {0, 0.95f}, {3000, 1.0f}}) {
      SamplingParameters parameters{0.7f, topK, topP, 0, 0};
      auto exact = exactDistribution(logits, parameters);
      for (int i = 0; i < 200; ++i) {
        double uniform = random.uniform(size + size_t(i));
        int32_t token = *sampler.sample(logits, parameters, uniform);
        double before = 0.0;
        auto entry = exact.begin();
        for (; entry != exact.end() && entry->first != token; ++entry)
          before += entry->second;
        ASSERT_NE(entry, exact.end()) << token << " of " << size;
        EXPECT_GE(uniform, before - 1e-5) << token << " of " << size;
        EXPECT_LE(uniform, before + entry->second + 1e-5) << token << " of " << size;
      }
    }
  }
}

TEST(SamplerTest, TheLastNumberNeverLeavesTheDistribution) {
  SamplingParameters parameters;
  parameters.temperature = 0.7f;
  std::vector<float> logits = {0.0f, 1.0f, -std::numeric_limits<float>::infinity()};
  Sampler sampler(3);
  EXPECT_EQ(*sampler.sample(logits, parameters, std::nextafter(1.0, 0.0)), 1);
}

TEST(SamplerTest, LogProbabilityIsThatOfTheSoftmax) {
  std::vector<float> logits = {1.0f, 2.0f, 3.0f};
  double total = std::exp(1.0) + std::exp(2.0) + std::exp(3.0);
  EXPECT_NEAR(logProbability(logits, 1), 2.0 - std::log(total), 1e-6);
  std::vector<float> large = {1000.0f, 1000.0f};
  EXPECT_NEAR(logProbability(large, 0), std::log(0.5), 1e-6);
}

TEST(SamplerTest, ParametersOutOfRangeAreNamed) {
  auto messageOf = [](float temperature, int32_t topK, float topP) {
    SamplingParameters parameters;
    parameters.temperature = temperature;
    parameters.topK = topK;
    parameters.topP = topP;
    return parameters.validate().message();
  };
  EXPECT_EQ(messageOf(1.0f, 5, 0.9f), "");
  EXPECT_NE(messageOf(-1.0f, 0, 1.0f).find("temperature"), std::string::npos);
  EXPECT_NE(messageOf(1.0f, -1, 1.0f).find("top-k"), std::string::npos);
  EXPECT_NE(messageOf(1.0f, 0, 0.0f).find("top-p"), std::string::npos);
  EXPECT_NE(messageOf(1.0f, 0, 1.5f).find("top-p"), std::string::npos);
}
