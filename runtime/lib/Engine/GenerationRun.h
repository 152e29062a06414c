// GenerationRun: the state of one Generator::run, and the steps that change it. Private to the
// engine.

#ifndef LLMIR_LIB_ENGINE_GENERATIONRUN_H
#define LLMIR_LIB_ENGINE_GENERATIONRUN_H

#include "llmir/Base/Status.h"
#include "llmir/Engine/GenerationRequest.h"
#include "llmir/Engine/Generator.h"
#include "llmir/Engine/Sampler.h"
#include "llmir/Engine/StepPlanner.h"
#include "llmir/Engine/StepRunner.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// What a Generator keeps between runs.
struct GenerationContext {
  StepProgram program;
  std::vector<PagedKVCache *> caches;
  GeneratorOptions options;
  StepBudget budget;
  std::unique_ptr<StepRunner> runner;
  std::vector<Sampler> samplers; ///< Of the workers, at most one for each sequence.
  GenerationStatistics statistics;
};

/// Requests being served. Gives every block back when it is destroyed.
class GenerationRun {
public:
  GenerationRun(GenerationContext &context, std::span<const GenerationRequest> requests,
                GenerationListener &listener);
  ~GenerationRun();
  GenerationRun(const GenerationRun &) = delete;
  GenerationRun &operator=(const GenerationRun &) = delete;

  /// Whether every request can be served at all; to be called before serve().
  Status checkRequests() const;
  /// Serves the requests until all have ended or the listener stops.
  Status serve();

private:
  /// A request that was admitted and has not ended.
  struct Sequence {
    const GenerationRequest *request = nullptr;
    size_t number = 0;                   ///< Of the request.
    std::vector<int32_t> tokens;         ///< The prompt and what was generated.
    PrefixKeyChain keys{PrefixKey(), 1}; ///< Of the prompt, where there is a prefix tree.
    int64_t numReused = 0;               ///< Tokens that came from it.
    int64_t numComputed = 0;             ///< Tokens whose keys and values are in the caches.
    int64_t numGenerated = 0;
    bool hasEnded = false;

    auto numPending() const { return static_cast<int64_t>(tokens.size()) - numComputed; }
    SequencePhase phase() const {
      return numGenerated > 0 ? SequencePhase::Decode : SequencePhase::Prompt;
    }
    SequenceId id() const { return static_cast<SequenceId>(number); }
  };

  Status checkRequest(const GenerationRequest &request) const;
  bool fitsNow(const GenerationRequest &request) const;
  Status admitWaiting();
  // PrefixReuse.cpp
  const PrefixKeyChain &waitingKeys();
  /// Whether the next request should wait for what a running one is computing.
  bool waitsForPrefix();
  Status reusePrefix(Sequence &sequence);
  Status rememberPrompt(const Sequence &sequence);

  Status fillBatch();
  Status runStep();
  bool isSampled(size_t share) const;
  void chooseTokens();
  StatusOr<GeneratedToken> chooseToken(size_t share, Sampler &sampler) const;
  Status handleShare(size_t share);
  Status acceptToken(Sequence &sequence, const StatusOr<GeneratedToken> &chosen);
  Status end(Sequence &sequence, FinishReason reason);
  Status endAll(FinishReason reason);
  void giveBack(const Sequence &sequence);
  void account(double seconds);

  GenerationContext &context_;
  std::span<const GenerationRequest> requests_;
  GenerationListener &listener_;
  double startSeconds_;
  size_t numAdmitted_ = 0;
  std::optional<size_t> keyedRequest_; ///< Whose keys waitingKeys_ are.
  PrefixKeyChain waitingKeys_{PrefixKey(), 1};
  std::vector<Sequence> running_;          // in order of arrival
  std::vector<int64_t> capacity_;          // blocks of each cache that this run may use
  std::vector<int64_t> promised_;          // of which for admitted requests, at their longest
  std::vector<SequenceProgress> progress_; // of running_
  std::vector<StepShare> plan_;
  std::vector<RowRange> rows_;                                                     // of plan_
  std::vector<std::pair<size_t, std::optional<StatusOr<GeneratedToken>>>> chosen_; // by share
  double samplingSeconds_ = 0.0; // of the current step
};

} // namespace llmir

#endif // LLMIR_LIB_ENGINE_GENERATIONRUN_H
