// Rejection sampling: what comes out has the target's distribution, which a chi-square test over a
// toy vocabulary proves, and the same test fails when the draft's distribution is a lie.

#include "llmir/Cache/RejectionSampling.h"
#include "llmir/Base/RandomStream.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

using namespace llmir;

namespace {

constexpr int vocabulary = 4, trials = 40000;
/// Tokens whose joint distribution is compared: 4^3 cells.
constexpr int length = 3, numCells = 64;
/// The 0.9999 quantile of chi-square with 63 degrees of freedom is 111.
constexpr double threshold = 111;

using Row = std::vector<float>;

class RejectionSamplingTest : public testing::Test {
protected:
  UniformSource uniform = [this] { return stream_.uniform(drawn_++); };

  /// A distribution that depends on the tokens before; `which` tells target and draft apart.
  static Row row(const std::vector<int32_t> &context, uint64_t which) {
    uint64_t number = which;
    for (int32_t token : context)
      number = number * 5 + static_cast<uint64_t>(token) + 1;
    RandomStream stream{number, 77};
    Row result(vocabulary);
    float sum = 0;
    for (int v = 0; v < vocabulary; ++v)
      sum += result[size_t(v)] = static_cast<float>(0.05 + stream.uniform(uint64_t(v)));
    for (float &value : result)
      value /= sum;
    return result;
  }
  static Row target(const std::vector<int32_t> &context) { return row(context, 1); }
  static Row draft(const std::vector<int32_t> &context) { return row(context, 1000003); }

  int32_t draw(const Row &probabilities) {
    double rest = uniform();
    for (int32_t v = 0; v < vocabulary - 1; ++v)
      if ((rest -= static_cast<double>(probabilities[size_t(v)])) < 0)
        return v;
    return vocabulary - 1;
  }

  /// What a trial knows of its draft.
  struct Draft {
    std::vector<int32_t> tokens;
    std::vector<float> draft, target;
  };

  /// Draws tokens for `tree`, each from the draft model after what it follows, or as `propose`
  /// says.
  template <typename Propose> Draft makeDraft(const TokenTree &tree, Propose propose) {
    Draft result;
    Row first = target({});
    result.target = first;
    for (int32_t i = 0; i < tree.size(); ++i) {
      std::vector<int32_t> context;
      for (int32_t before : tree.pathTo(tree.parent(i)))
        context.push_back(result.tokens[size_t(before)]);
      result.tokens.push_back(propose(i, context));
      Row q = draft(context);
      result.draft.insert(result.draft.end(), q.begin(), q.end());
      context.push_back(result.tokens.back());
      Row p = target(context);
      result.target.insert(result.target.end(), p.begin(), p.end());
    }
    return result;
  }

  /// Chi-square of the first tokens that come out of many verifications against the target.
  template <typename Propose, typename Prepare>
  double chiSquare(const TokenTree &tree, Propose propose, Prepare prepare) {
    std::vector<double> counts(numCells, 0);
    for (int trial = 0; trial < trials; ++trial) {
      Draft made = makeDraft(tree, propose);
      DraftDistributions given{made.tokens, vocabulary, made.draft, made.target};
      prepare(given);
      VerificationResult result;
      Status status = verifyDraft(tree, given, uniform, result);
      EXPECT_TRUE(status.isOk()) << status.message();
      std::vector<int32_t> out;
      for (int32_t i : result.acceptedPath)
        out.push_back(made.tokens[size_t(i)]);
      out.push_back(*result.nextToken);
      // What is missing comes from the target itself, so it cannot hide a mistake.
      while (out.size() < length)
        out.push_back(draw(target(out)));
      counts[size_t(out[0] * 16 + out[1] * 4 + out[2])] += 1;
      accepted_ += result.acceptedCount;
    }
    double sum = 0;
    for (int cell = 0; cell < numCells; ++cell) {
      int32_t a = cell / 16, b = cell / 4 % 4, c = cell % 4;
      double expected = trials * double(target({})[size_t(a)]) * double(target({a})[size_t(b)]) *
                        double(target({a, b})[size_t(c)]);
      sum += (counts[size_t(cell)] - expected) * (counts[size_t(cell)] - expected) / expected;
    }
    return sum;
  }

  auto fromDraft() {
    return [this](int32_t, const std::vector<int32_t> &context) { return draw(draft(context)); };
  }
  static auto asIs() {
    return [](DraftDistributions &) {};
  }

  RandomStream stream_{20, 5};
  uint64_t drawn_ = 0;
  int64_t accepted_ = 0;
};

TokenTree chain(int64_t count) {
  TokenTree tree;
  tree.addChain(count);
  return tree;
}

TokenTree treeOf(std::vector<int32_t> parents) {
  TokenTree tree;
  for (int32_t parent : parents)
    EXPECT_TRUE(tree.add(parent).isOk());
  return tree;
}

} // namespace

TEST_F(RejectionSamplingTest, ChainsHaveTheTargetsDistribution) {
  double statistic = chiSquare(chain(4), fromDraft(), asIs());
  RecordProperty("chi_square", std::to_string(statistic));
  EXPECT_LT(statistic, threshold);
  EXPECT_GT(accepted_, trials); // the drafts were of use
  EXPECT_LT(accepted_, 3 * trials);
}

TEST_F(RejectionSamplingTest, TreesHaveTheTargetsDistribution) {
  TokenTree tree = treeOf({-1, -1, 0, 0, 1, -1, 2, 2});
  EXPECT_LT(chiSquare(tree, fromDraft(), asIs()), threshold);
  int64_t ofTree = accepted_;
  accepted_ = 0;
  EXPECT_LT(chiSquare(chain(3), fromDraft(), asIs()), threshold);
  EXPECT_GT(ofTree, accepted_); // alternatives are accepted too
}

TEST_F(RejectionSamplingTest, DeterministicDraftsHaveTheTargetsDistribution) {
  auto fixed = [](int32_t i, const std::vector<int32_t> &context) {
    return static_cast<int32_t>((context.size() + size_t(i)) % vocabulary);
  };
  auto withoutDraft = [](DraftDistributions &given) { given.draft = {}; };
  EXPECT_LT(chiSquare(chain(3), fixed, withoutDraft), threshold);
  // Siblings 0, 1, 2 and 3, 4 differ.
  EXPECT_LT(chiSquare(treeOf({-1, -1, -1, 1, 1}), fixed, withoutDraft), threshold);
}

// The test can fail: it finds drafts that come from elsewhere than they claim.
TEST_F(RejectionSamplingTest, FindsWrongDistributions) {
  auto uniformDraft = [this](int32_t, const std::vector<int32_t> &) {
    return static_cast<int32_t>(uniform() * vocabulary);
  };
  EXPECT_GT(chiSquare(chain(4), uniformDraft, asIs()), 10 * threshold);
  auto fixed = [](int32_t, const std::vector<int32_t> &) { return int32_t(1); };
  EXPECT_GT(chiSquare(chain(4), fixed, asIs()), 10 * threshold);
}

TEST_F(RejectionSamplingTest, AcceptsByLogProbability) {
  auto certain = 0.0f, impossible = -std::numeric_limits<float>::infinity();
  VerificationResult result;
  std::vector<float> logs = {certain, certain, impossible, certain};
  ASSERT_TRUE(verifyDraft(chain(4), logs, uniform, result).isOk());
  EXPECT_EQ(result.acceptedCount, 2);
  EXPECT_EQ(result.acceptedPath, (std::vector<int32_t>{0, 1}));
  EXPECT_FALSE(result.nextToken.has_value());

  // The second of two siblings has what the first one leaves: 0.3 of 0.6.
  TokenTree tree = treeOf({-1, -1, 1});
  logs = {std::log(0.4f), std::log(0.3f), certain};
  int64_t first = 0, second = 0;
  for (int i = 0; i < trials; ++i) {
    ASSERT_TRUE(verifyDraft(tree, logs, uniform, result).isOk());
    first += result.acceptedPath == std::vector<int32_t>{0} ? 1 : 0;
    second += result.acceptedPath == std::vector<int32_t>{1, 2} ? 1 : 0;
  }
  // Five standard deviations of a binomial.
  EXPECT_NEAR(double(first) / trials, 0.4, 5 * std::sqrt(0.4 * 0.6 / trials));
  EXPECT_NEAR(double(second) / trials, 0.3, 5 * std::sqrt(0.3 * 0.7 / trials));
}

TEST_F(RejectionSamplingTest, RefusesWhatIsNoDistribution) {
  VerificationResult result;
  result.acceptedCount = 42;
  std::vector<int32_t> tokens = {1};
  std::vector<float> q = {0, 1}, p = {0.5, 0.5, 0.25, 0.75};
  auto verify = [&] {
    return verifyDraft(chain(1), DraftDistributions{tokens, 2, q, p}, uniform, result);
  };
  p[3] = 0.5;
  EXPECT_EQ(verify().message(),
            "expected row 1 of the target distributions to sum to 1, but got 0.750000");
  p[3] = -1;
  EXPECT_EQ(verify().code(), StatusCode::InvalidArgument);
  p[3] = std::nanf("");
  EXPECT_EQ(verify().code(), StatusCode::InvalidArgument);
  p[3] = 0.75;
  tokens[0] = 0;
  EXPECT_EQ(verify().message(), "draft token 0 is 0, which its distribution never yields");
  tokens[0] = 2;
  EXPECT_EQ(verify().message(), "expected draft tokens of 0 to 1, but got 2");
  tokens = {};
  EXPECT_EQ(verify().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(verifyDraft(chain(2), p, uniform, result).message(),
            "expected 2 log-probabilities, one for each draft token, but got 4");
  EXPECT_EQ(verifyDraft(chain(4), p, uniform, result).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(result.acceptedCount, 42);
}
