// Checks a generator's options and sizes its largest step; the loop itself is GenerationRun.

#include "llmir/Engine/Generator.h"

#include "GenerationRun.h"

#include <algorithm>
#include <string>

namespace llmir {

const char *finishReasonName(FinishReason reason) {
  switch (reason) {
  case FinishReason::EndOfGeneration:
    return "stop";
  case FinishReason::Length:
    return "length";
  case FinishReason::ContextEnd:
    return "context";
  case FinishReason::Cancelled:
    return "cancelled";
  }
  return "unknown";
}

Status GenerationListener::onLogits(size_t, std::span<const float>) { return Status::ok(); }
Status GenerationListener::onToken(size_t, const GeneratedToken &) { return Status::ok(); }
Status GenerationListener::onFinish(size_t, FinishReason) { return Status::ok(); }

int64_t contextTokensNeeded(const GenerationRequest &request, int64_t maxSequenceLength) {
  auto promptLength = static_cast<int64_t>(request.prompt.size());
  if (!request.maxNewTokens)
    return maxSequenceLength;
  // The last generated token is not fed back. Written so that a huge number cannot overflow.
  int64_t fedBack = std::max<int64_t>(*request.maxNewTokens - 1, 0);
  return fedBack > maxSequenceLength - promptLength ? maxSequenceLength : promptLength + fedBack;
}

StatusOr<std::unique_ptr<Generator>> Generator::create(const StepProgram &program, WorkerTeam &team,
                                                       std::span<PagedKVCache *const> caches,
                                                       const GeneratorOptions &options) {
  if (options.chunk < 1 || options.chunk > GeneratorOptions::maxChunk)
    return invalidArgument("expected a chunk of 1 to " +
                           std::to_string(GeneratorOptions::maxChunk) + " prompt tokens, but got " +
                           std::to_string(options.chunk));
  if (options.maxSequences < 1)
    return invalidArgument("expected room for at least 1 sequence a step, but got " +
                           std::to_string(options.maxSequences));
  if (const PrefixTree *tree = options.prefixTree) {
    LLMIR_RETURN_IF_ERROR(tree->status());
    if (caches.size() != 1 || &tree->cache() != caches[0])
      return invalidArgument("expected a prefix tree of the program's only cache, but the program "
                             "has " +
                             std::to_string(caches.size()) +
                             (caches.size() == 1 ? ", which is another" : " caches"));
  }
  StepBudget budget{options.chunk, options.maxSequences};
  StepSize largest{options.chunk + options.maxSequences, options.maxSequences,
                   options.maxSequences};
  if (options.logits == LogitsCollection::All) {
    constexpr int64_t maxLogitsBytes = int64_t{256} << 20;
    auto rowBytes = program.vocabularySize * static_cast<int64_t>(sizeof(float));
    budget.promptTokens = std::clamp<int64_t>(maxLogitsBytes / rowBytes, 1, options.chunk);
    largest.tokens = budget.promptTokens + options.maxSequences;
    largest.rows = largest.tokens;
  }
  StatusOr<std::unique_ptr<StepRunner>> runner =
      StepRunner::create(program, team, caches, largest, options.collective);
  if (!runner)
    return runner.status();
  auto samplers = static_cast<size_t>(std::min<int64_t>(team.size(), options.maxSequences));
  std::unique_ptr<GenerationContext> context(
      new GenerationContext{program,
                            {caches.begin(), caches.end()},
                            options,
                            budget,
                            std::move(*runner),
                            std::vector(samplers, Sampler(program.vocabularySize)),
                            GenerationStatistics()});
  return std::unique_ptr<Generator>(new Generator(std::move(context)));
}

Generator::Generator(std::unique_ptr<GenerationContext> context) : context_(std::move(context)) {}
Generator::~Generator() = default;

Status Generator::run(std::span<const GenerationRequest> requests, GenerationListener &listener) {
  GenerationRun run(*context_, requests, listener);
  LLMIR_RETURN_IF_ERROR(run.checkRequests());
  return run.serve();
}

const GenerationStatistics &Generator::statistics() const { return context_->statistics; }

} // namespace llmir
