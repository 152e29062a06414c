// Sums log-probabilities of the tokens of each window, row by row as they are computed.

#include "llmir/CommandLine/Perplexity.h"

#include "llmir/CommandLine/Terminal.h"
#include "llmir/Engine/Sampler.h"

#include <algorithm>
#include <cmath>

namespace llmir {

namespace {
/// Scores row i of a window with its token i + 1.
class WindowScorer : public GenerationListener {
public:
  explicit WindowScorer(std::span<const int32_t> window) : window_(window) {}

  Proceed beforeStep() override {
    return SignalScope::wasInterrupted() ? Proceed::Stop : Proceed::Continue;
  }
  Status onLogits(size_t, std::span<const float> row) override {
    if (++position_ < window_.size())
      sum_ += logProbability(row, window_[position_]);
    return Status::ok();
  }
  Status onFinish(size_t, FinishReason reason) override {
    if (reason == FinishReason::Cancelled)
      return failedPrecondition("interrupted");
    return Status::ok();
  }
  double sum() const { return sum_; }

private:
  std::span<const int32_t> window_;
  size_t position_ = 0;
  double sum_ = 0.0;
};
} // namespace

std::vector<GenerationRequest> makePerplexityRequests(std::span<const int32_t> tokens,
                                                      const PerplexityOptions &options) {
  std::vector<GenerationRequest> windows;
  size_t numOwn = static_cast<size_t>(options.windowLength) - (options.bos ? 1 : 0);
  for (size_t first = 0; first < tokens.size(); first += numOwn) {
    GenerationRequest window;
    window.maxNewTokens = 0;
    window.logits = LogitsCollection::All;
    if (options.bos)
      window.prompt.push_back(*options.bos);
    std::span<const int32_t> own = tokens.subspan(first, std::min(numOwn, tokens.size() - first));
    window.prompt.insert(window.prompt.end(), own.begin(), own.end());
    if (window.prompt.size() >= 2)
      windows.push_back(std::move(window));
  }
  return windows;
}

StatusOr<PerplexityResult> computePerplexity(Generator &generator,
                                             std::span<const GenerationRequest> windows) {
  double sum = 0.0;
  PerplexityResult result;
  for (size_t i = 0; i < windows.size(); ++i) {
    WindowScorer scorer(windows[i].prompt);
    LLMIR_RETURN_IF_ERROR(generator.run(windows.subspan(i, 1), scorer));
    sum += scorer.sum();
    result.numPredicted += static_cast<int64_t>(windows[i].prompt.size()) - 1;
  }
  if (result.numPredicted == 0)
    return invalidArgument("expected a text of at least 2 tokens");
  result.perplexity = std::exp(-sum / static_cast<double>(result.numPredicted));
  return result;
}

} // namespace llmir
