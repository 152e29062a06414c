// A run admits requests while the pool can hold them at their longest, so that no admitted request
// can run out of blocks; then plans, runs and evaluates one step after another.

#include "GenerationRun.h"

#include "llmir/Base/RandomStream.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace llmir {

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

GenerationRun::GenerationRun(GenerationContext &context,
                             std::span<const GenerationRequest> requests,
                             GenerationListener &listener)
    : context_(context), requests_(requests), listener_(listener), startSeconds_(now()),
      promised_(context.caches.size(), 0) {
  for (const PagedKVCache *cache : context.caches)
    capacity_.push_back(cache->pool().numFree());
  // What earlier runs left in the tree goes when it is needed.
  if (PrefixTree *tree = context.options.prefixTree)
    capacity_[0] += tree->countEvictable();
  auto maxSequences = static_cast<size_t>(context.options.maxSequences);
  running_.reserve(maxSequences);
  progress_.reserve(maxSequences);
  plan_.reserve(maxSequences);
  rows_.reserve(maxSequences);
}

GenerationRun::~GenerationRun() {
  for (const Sequence &sequence : running_)
    if (!sequence.hasEnded)
      giveBack(sequence);
}

Status GenerationRun::checkRequest(const GenerationRequest &request) const {
  const StepProgram &program = context_.program;
  auto promptLength = static_cast<int64_t>(request.prompt.size());
  if (promptLength == 0)
    return invalidArgument("the prompt is empty: expected at least one token");
  if (promptLength > program.maxSequenceLength)
    return invalidArgument("the prompt has " + std::to_string(promptLength) +
                           " tokens, but the context holds " +
                           std::to_string(program.maxSequenceLength));
  for (int32_t token : request.prompt)
    if (token < 0 || token >= program.vocabularySize)
      return invalidArgument("expected token ids from 0 to " +
                             std::to_string(program.vocabularySize - 1) + ", but got " +
                             std::to_string(token));
  if (request.maxNewTokens && *request.maxNewTokens < 0)
    return invalidArgument("expected at least 0 tokens to generate, but got " +
                           std::to_string(*request.maxNewTokens));
  if (request.logits == LogitsCollection::All && context_.options.logits == LogitsCollection::None)
    return invalidArgument("the request collects logits, but the generator has no room for them");
  LLMIR_RETURN_IF_ERROR(request.sampling.validate());

  int64_t tokens = contextTokensNeeded(request, program.maxSequenceLength);
  for (size_t i = 0; i < capacity_.size(); ++i) {
    int64_t blocks = blocksForTokens(context_.caches[i]->layout(), tokens);
    if (blocks > capacity_[i])
      return resourceExhausted("block pool exhausted: " + std::to_string(tokens) +
                               " tokens of prompt and continuation need " + std::to_string(blocks) +
                               " blocks, but the pool has " + std::to_string(capacity_[i]));
  }
  return Status::ok();
}

Status GenerationRun::checkRequests() const {
  for (size_t i = 0; i < requests_.size(); ++i)
    if (Status status = checkRequest(requests_[i]); !status)
      return requests_.size() == 1 ? status : status.withContext("request " + std::to_string(i));
  return Status::ok();
}

bool GenerationRun::fitsNow(const GenerationRequest &request) const {
  int64_t tokens = contextTokensNeeded(request, context_.program.maxSequenceLength);
  for (size_t i = 0; i < capacity_.size(); ++i)
    if (promised_[i] + blocksForTokens(context_.caches[i]->layout(), tokens) > capacity_[i])
      return false;
  return true;
}

Status GenerationRun::admitWaiting() {
  while (numAdmitted_ < requests_.size() &&
         static_cast<int64_t>(running_.size()) < context_.options.maxSequences &&
         fitsNow(requests_[numAdmitted_]) && !waitsForPrefix()) {
    const GenerationRequest &request = requests_[numAdmitted_];
    int64_t tokens = contextTokensNeeded(request, context_.program.maxSequenceLength);
    for (size_t i = 0; i < promised_.size(); ++i)
      promised_[i] += blocksForTokens(context_.caches[i]->layout(), tokens);
    Sequence sequence;
    sequence.request = &request;
    sequence.number = numAdmitted_;
    sequence.tokens.reserve(static_cast<size_t>(tokens) + 1);
    sequence.tokens = request.prompt;
    running_.push_back(std::move(sequence));
    LLMIR_RETURN_IF_ERROR(reusePrefix(running_.back()));
    ++numAdmitted_;
  }
  return Status::ok();
}

void GenerationRun::giveBack(const Sequence &sequence) {
  int64_t tokens = contextTokensNeeded(*sequence.request, context_.program.maxSequenceLength);
  for (size_t i = 0; i < context_.caches.size(); ++i) {
    promised_[i] -= blocksForTokens(context_.caches[i]->layout(), tokens);
    // A sequence that never ran is not in the cache, so NotFound is an expected outcome.
    if (context_.caches[i]->contains(sequence.id()))
      (void)context_.caches[i]->freeSequence(sequence.id());
  }
}

Status GenerationRun::end(Sequence &sequence, FinishReason reason) {
  giveBack(sequence);
  sequence.hasEnded = true;
  return listener_.onFinish(sequence.number, reason);
}

Status GenerationRun::endAll(FinishReason reason) {
  for (Sequence &sequence : running_)
    LLMIR_RETURN_IF_ERROR(end(sequence, reason));
  running_.clear();
  for (; numAdmitted_ < requests_.size(); ++numAdmitted_)
    LLMIR_RETURN_IF_ERROR(listener_.onFinish(numAdmitted_, reason));
  return Status::ok();
}

Status GenerationRun::fillBatch() {
  progress_.clear();
  for (size_t i = 0; i < running_.size(); ++i)
    progress_.push_back({i, running_[i].phase(), running_[i].numPending()});
  planStep(progress_, context_.budget, plan_);

  Batch &batch = context_.runner->batch();
  batch.clear();
  rows_.clear();
  for (const StepShare &share : plan_) {
    const Sequence &sequence = running_[share.sequence];
    BatchEntry entry;
    entry.sequence = sequence.id();
    entry.tokens =
        std::span(sequence.tokens)
            .subspan(static_cast<size_t>(sequence.numComputed), static_cast<size_t>(share.tokens));
    entry.firstPosition = sequence.numComputed;
    if (sequence.request->logits == LogitsCollection::All)
      entry.rows = LogitsRows::All;
    else if (isSampled(rows_.size()))
      entry.rows = LogitsRows::Last;
    StatusOr<RowRange> range = batch.add(entry);
    if (!range)
      return range.status();
    rows_.push_back(*range);
  }
  return Status::ok();
}

/// Whether the last row of a share of the plan decides the sequence's next token; before the share
/// is handled.
bool GenerationRun::isSampled(size_t share) const {
  const Sequence &sequence = running_[plan_[share].sequence];
  return plan_[share].tokens == sequence.numPending() && sequence.request->maxNewTokens != 0;
}

StatusOr<GeneratedToken> GenerationRun::chooseToken(size_t share, Sampler &sampler) const {
  const Sequence &sequence = running_[plan_[share].sequence];
  const GenerationRequest &request = *sequence.request;
  std::span<const float> row = context_.runner->logits(rows_[share].first + rows_[share].count - 1);
  RandomStream stream{request.sampling.seed, request.sampling.stream};
  StatusOr<int32_t> token = sampler.sample(
      row, request.sampling, stream.uniform(static_cast<uint64_t>(sequence.numGenerated)));
  if (!token)
    return token.status().withContext("request " + std::to_string(sequence.number));
  GeneratedToken generated{*token, std::nullopt};
  if (request.logProbabilities == LogProbabilities::Chosen)
    generated.logProbability = logProbability(row, *token);
  return generated;
}

/// Chooses the step's tokens, a row by one worker.
void GenerationRun::chooseTokens() {
  double start = now();
  chosen_.clear();
  for (size_t share = 0; share < plan_.size(); ++share)
    if (isSampled(share))
      chosen_.emplace_back(share, std::nullopt);
  auto chooseEvery = [&](size_t first, size_t step, Sampler &sampler) {
    for (size_t i = first; i < chosen_.size(); i += step)
      chosen_[i].second = chooseToken(chosen_[i].first, sampler);
  };
  size_t workers = std::min(context_.samplers.size(), chosen_.size());
  if (workers <= 1)
    chooseEvery(0, 1, context_.samplers.front());
  else
    context_.runner->team().run([&](int32_t worker) {
      auto first = static_cast<size_t>(worker);
      if (first < workers)
        chooseEvery(first, workers, context_.samplers[first]);
    });
  samplingSeconds_ = now() - start;
}

Status GenerationRun::acceptToken(Sequence &sequence, const StatusOr<GeneratedToken> &chosen) {
  if (!chosen)
    return chosen.status();
  const GenerationRequest &request = *sequence.request;
  const GeneratedToken &generated = *chosen;
  int32_t token = generated.token;
  if (context_.statistics.firstTokenSeconds == 0.0)
    context_.statistics.firstTokenSeconds = now() - startSeconds_;

  const std::vector<int32_t> &endTokens = context_.options.endOfGenerationTokens;
  if (request.endOfGeneration == EndOfGeneration::Stop &&
      std::find(endTokens.begin(), endTokens.end(), token) != endTokens.end())
    return this->end(sequence, FinishReason::EndOfGeneration);

  sequence.tokens.push_back(token);
  ++sequence.numGenerated;
  ++context_.statistics.generatedTokens;
  LLMIR_RETURN_IF_ERROR(listener_.onToken(sequence.number, generated));
  if (sequence.numGenerated == request.maxNewTokens)
    return this->end(sequence, FinishReason::Length);
  if (static_cast<int64_t>(sequence.tokens.size()) > context_.program.maxSequenceLength)
    return this->end(sequence, FinishReason::ContextEnd);
  return Status::ok();
}

Status GenerationRun::handleShare(size_t share) {
  Sequence &sequence = running_[plan_[share].sequence];
  RowRange rows = rows_[share];
  sequence.numComputed += plan_[share].tokens;
  if (sequence.request->logits == LogitsCollection::All)
    for (int64_t i = 0; i < rows.count; ++i)
      LLMIR_RETURN_IF_ERROR(
          listener_.onLogits(sequence.number, context_.runner->logits(rows.first + i)));
  if (sequence.numPending() > 0)
    return Status::ok();
  if (sequence.numGenerated == 0)
    LLMIR_RETURN_IF_ERROR(rememberPrompt(sequence));
  if (sequence.request->maxNewTokens == 0)
    return end(sequence, FinishReason::Length);
  auto chosen = std::find_if(chosen_.begin(), chosen_.end(),
                             [&](const auto &entry) { return entry.first == share; });
  return acceptToken(sequence, *chosen->second);
}

void GenerationRun::account(double seconds) {
  int64_t promptTokens = 0;
  int64_t decodeTokens = 0;
  for (const StepShare &share : plan_) {
    (share.phase == SequencePhase::Prompt ? promptTokens : decodeTokens) += share.tokens;
    if (share.phase == SequencePhase::Decode)
      context_.statistics.decodeContextTokens += running_[share.sequence].numComputed;
  }
  auto allTokens = static_cast<double>(promptTokens + decodeTokens);
  double perToken = seconds / allTokens;
  GenerationStatistics &statistics = context_.statistics;
  statistics.promptTokens += promptTokens;
  statistics.promptSeconds += perToken * static_cast<double>(promptTokens);
  statistics.decodeTokens += decodeTokens;
  statistics.decodeSeconds += perToken * static_cast<double>(decodeTokens);
  statistics.decodeSteps += static_cast<double>(decodeTokens) / allTokens;
  ++statistics.steps;
}

Status GenerationRun::runStep() {
  double start = now();
  LLMIR_RETURN_IF_ERROR(fillBatch());
  LLMIR_RETURN_IF_ERROR(context_.runner->run());
  double stepSeconds = now() - start;

  chooseTokens();
  Status status;
  for (size_t share = 0; share < plan_.size() && status; ++share)
    status = handleShare(share);
  account(stepSeconds + samplingSeconds_);
  LLMIR_RETURN_IF_ERROR(status);
  std::erase_if(running_, [](const Sequence &sequence) { return sequence.hasEnded; });
  return Status::ok();
}

Status GenerationRun::serve() {
  while (true) {
    LLMIR_RETURN_IF_ERROR(admitWaiting());
    if (running_.empty())
      break;
    if (listener_.beforeStep() == Proceed::Stop)
      return endAll(FinishReason::Cancelled);
    LLMIR_RETURN_IF_ERROR(runStep());
  }
  if (numAdmitted_ < requests_.size())
    return internalError("request " + std::to_string(numAdmitted_) +
                         " was never admitted although the pool is free");
  return Status::ok();
}

} // namespace llmir
