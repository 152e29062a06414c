// Rejection sampling over trees of draft tokens.

#include "llmir/Cache/RejectionSampling.h"

#include <algorithm>
#include <cmath>
#include <string>

namespace llmir {

namespace {

/// How far sums and log-probabilities of f32 softmax results may be off.
constexpr double tolerance = 1e-3;

Status checkRow(std::span<const float> row, const char *name, int64_t number) {
  double sum = 0;
  for (float probability : row) {
    if (!(probability >= 0) || !std::isfinite(probability))
      return invalidArgument("expected probabilities of 0 or more in row " +
                             std::to_string(number) + " of the " + name + ", but got " +
                             std::to_string(probability));
    sum += static_cast<double>(probability);
  }
  if (std::abs(sum - 1) > tolerance)
    return invalidArgument("expected row " + std::to_string(number) + " of the " + name +
                           " to sum to 1, but got " + std::to_string(sum));
  return Status::ok();
}

/// The verification of one draft with distributions.
class Verification {
public:
  Verification(const TokenTree &tree, const DraftDistributions &given, const UniformSource &uniform,
               std::vector<double> &scratch)
      : tree_(tree), given_(given), uniform_(uniform), left_(scratch),
        vocabulary_(static_cast<size_t>(std::max<int64_t>(given.vocabularySize, 0))) {}

  Status check() const {
    auto count = static_cast<size_t>(tree_.size());
    bool hasDraft = !given_.draft.empty();
    if (given_.tokens.size() != count || vocabulary_ == 0 ||
        given_.target.size() != (count + 1) * vocabulary_ ||
        (hasDraft && given_.draft.size() != count * vocabulary_))
      return invalidArgument("expected " + std::to_string(count) + " draft tokens and rows and " +
                             std::to_string(count + 1) + " target rows of " +
                             std::to_string(given_.vocabularySize) + " probabilities, but got " +
                             std::to_string(given_.tokens.size()) + " tokens, " +
                             std::to_string(given_.draft.size()) + " draft and " +
                             std::to_string(given_.target.size()) + " target probabilities");
    for (size_t i = 0; i <= count; ++i)
      LLMIR_RETURN_IF_ERROR(checkRow(target(i), "target distributions", int64_t(i)));
    for (size_t i = 0; i < count; ++i) {
      int32_t token = given_.tokens[i];
      if (token < 0 || static_cast<size_t>(token) >= vocabulary_)
        return invalidArgument("expected draft tokens of 0 to " + std::to_string(vocabulary_ - 1) +
                               ", but got " + std::to_string(token));
      if (!hasDraft)
        continue;
      LLMIR_RETURN_IF_ERROR(checkRow(draft(i), "draft distributions", int64_t(i)));
      if (draft(i)[static_cast<size_t>(token)] == 0)
        return invalidArgument("draft token " + std::to_string(i) + " is " + std::to_string(token) +
                               ", which its distribution never yields");
    }
    return Status::ok();
  }

  void run(VerificationResult &result) {
    int32_t current = TokenTree::context;
    while (true) {
      std::span<const float> row = target(static_cast<size_t>(current + 1));
      left_.assign(row.begin(), row.end());
      std::optional<int32_t> accepted = chooseChild(current);
      if (!accepted)
        break;
      current = *accepted;
    }
    tree_.findPathTo(current, result.acceptedPath);
    result.acceptedCount = static_cast<int64_t>(result.acceptedPath.size());
    result.nextToken = draw();
  }

private:
  std::span<const float> target(size_t row) const {
    return given_.target.subspan(row * vocabulary_, vocabulary_);
  }
  std::span<const float> draft(size_t row) const {
    return given_.draft.subspan(row * vocabulary_, vocabulary_);
  }

  std::optional<int32_t> chooseChild(int32_t parent) {
    for (auto child = parent + 1; child < tree_.size(); ++child)
      if (tree_.parent(child) == parent && accepts(child))
        return child;
    return std::nullopt;
  }

  /// Accepts a token, or takes out of what is left of the target what the token stood for.
  bool accepts(int32_t child) {
    auto i = static_cast<size_t>(child);
    auto token = static_cast<size_t>(given_.tokens[i]);
    double proposed = given_.draft.empty() ? 1.0 : static_cast<double>(draft(i)[token]);
    if (uniform_() * proposed < left_[token])
      return true;
    double sum = 0;
    for (size_t v = 0; v < vocabulary_; ++v) {
      double q = given_.draft.empty() ? (v == token ? 1.0 : 0.0) : static_cast<double>(draft(i)[v]);
      sum += std::max(left_[v] - q, 0.0);
    }
    // Nothing is left only when both distributions are one and the same but for rounding.
    if (sum <= 0)
      return true;
    for (size_t v = 0; v < vocabulary_; ++v) {
      double q = given_.draft.empty() ? (v == token ? 1.0 : 0.0) : static_cast<double>(draft(i)[v]);
      left_[v] = std::max(left_[v] - q, 0.0) / sum;
    }
    return false;
  }

  int32_t draw() {
    double sum = 0;
    for (double probability : left_)
      sum += probability;
    double rest = uniform_() * sum;
    int32_t last = 0;
    for (size_t v = 0; v < vocabulary_; ++v) {
      if (left_[v] <= 0)
        continue;
      last = static_cast<int32_t>(v);
      rest -= left_[v];
      if (rest < 0)
        break;
    }
    return last;
  }

  const TokenTree &tree_;
  const DraftDistributions &given_;
  const UniformSource &uniform_;
  std::vector<double> &left_; ///< What of the target is left after rejections, normalised.
  size_t vocabulary_;
};

} // namespace

Status verifyDraft(const TokenTree &tree, const DraftDistributions &distributions,
                   const UniformSource &uniform, VerificationResult &result,
                   std::vector<double> &scratch) {
  Verification verification(tree, distributions, uniform, scratch);
  LLMIR_RETURN_IF_ERROR(verification.check());
  verification.run(result);
  return Status::ok();
}

Status verifyDraft(const TokenTree &tree, const DraftDistributions &distributions,
                   const UniformSource &uniform, VerificationResult &result) {
  std::vector<double> scratch;
  return verifyDraft(tree, distributions, uniform, result, scratch);
}

Status verifyDraft(const TokenTree &tree, std::span<const float> logProbabilities,
                   const UniformSource &uniform, VerificationResult &result) {
  if (static_cast<int64_t>(logProbabilities.size()) != tree.size())
    return invalidArgument("expected " + std::to_string(tree.size()) +
                           " log-probabilities, one for each draft token, but got " +
                           std::to_string(logProbabilities.size()));
  for (size_t i = 0; i < logProbabilities.size(); ++i)
    if (!(static_cast<double>(logProbabilities[i]) <= tolerance))
      return invalidArgument("expected log-probabilities of at most 0, but token " +
                             std::to_string(i) + " has " + std::to_string(logProbabilities[i]));
  int32_t current = TokenTree::context;
  double left = 1;
  for (auto child = 0; child < tree.size(); ++child) {
    if (tree.parent(child) != current)
      continue;
    double probability =
        std::exp(static_cast<double>(logProbabilities[static_cast<size_t>(child)]));
    if (uniform() * left < probability) {
      current = child;
      left = 1;
    } else {
      left -= probability;
    }
  }
  tree.findPathTo(current, result.acceptedPath);
  result.acceptedCount = static_cast<int64_t>(result.acceptedPath.size());
  result.nextToken.reset();
  return Status::ok();
}

} // namespace llmir
