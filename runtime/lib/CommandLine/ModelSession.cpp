// Opens a model and sizes its caches for what is asked of it.

#include "llmir/CommandLine/ModelSession.h"

#include "llmir/Device/BandwidthProbe.h"
#include "llmir/Engine/PoolSize.h"

#include <algorithm>
#include <chrono>
#include <string>
#include <unistd.h>

namespace llmir {

/// Requests that are served together; more wait for their turn.
static constexpr int64_t maxSequences = 64;

static double secondsSince(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

StatusOr<std::unique_ptr<ModelSession>>
ModelSession::open(const RunOptions &options, const std::optional<LinkedModel> &linked) {
  auto start = std::chrono::steady_clock::now();
  WorkerTeamOptions teamOptions;
  teamOptions.workers = options.threads;
  StatusOr<std::unique_ptr<WorkerTeam>> team = WorkerTeam::create(teamOptions);
  if (!team)
    return team.status();

  LoadOptions loadOptions;
  loadOptions.team = team->get();
  loadOptions.weightCheck = options.verifiesWeights ? WeightCheck::Verify : WeightCheck::Skip;
  loadOptions.level = options.level;
  StatusOr<std::unique_ptr<LoadedModel>> model =
      linked ? LoadedModel::openSelf(linked->steps, linked->abiVersion, loadOptions)
             : LoadedModel::open(options.modelPath, loadOptions);
  if (!model)
    return model.status();
  StatusOr<GGUFFile> metadata = GGUFFile::parse((*model)->tokenizer(), "tokenizer section");
  if (!metadata)
    return metadata.status().withContext(options.modelPath);
  StatusOr<Tokenizer> tokenizer = Tokenizer::fromGGUF(*metadata);

  std::unique_ptr<ModelSession> session(new ModelSession(
      std::move(*team), std::move(*model), std::move(*metadata), std::move(tokenizer)));
  session->loadSeconds_ = secondsSince(start);
  int64_t limit = session->model_->manifest().maxSequenceLength;
  session->contextLength_ = options.contextLength.value_or(limit);
  if (session->contextLength_ > limit)
    return invalidArgument("expected --context to be at most the model's " + std::to_string(limit) +
                           " tokens, but got " + std::to_string(session->contextLength_));
  if (options.stats != StatsForm::None) {
    StatusOr<double> bandwidth = probeReadBandwidth(*session->team_);
    // Without memory for the probe the run goes on, and its report says that nothing was measured.
    if (bandwidth)
      session->readBandwidth_ = *bandwidth;
  }
  return session;
}

/// Half of the machine's memory: pages of a pool take memory only when they are used, but a pool
/// that cannot be used in full would end in the kernel killing the process.
static int64_t poolMemoryLimit() {
  return static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE) / 2;
}

std::vector<int32_t> ModelSession::endOfGenerationTokens() const {
  std::vector<int32_t> tokens;
  if (!tokenizer_) {
    StatusOr<uint64_t> eos = metadata_.getUInt("tokenizer.ggml.eos_token_id");
    if (eos && *eos < static_cast<uint64_t>(model_->manifest().vocabularySize))
      tokens.push_back(static_cast<int32_t>(*eos));
    return tokens;
  }
  for (size_t id = 0; id < tokenizer_->vocabularySize(); ++id)
    if (tokenizer_->isEndOfGeneration(static_cast<int32_t>(id)))
      tokens.push_back(static_cast<int32_t>(id));
  return tokens;
}

StatusOr<std::unique_ptr<GenerationSetup>>
GenerationSetup::create(ModelSession &session, const RunOptions &options,
                        std::span<const GenerationRequest> requests) {
  GeneratorOptions generatorOptions;
  generatorOptions.chunk = options.chunk;
  generatorOptions.maxSequences =
      std::clamp<int64_t>(static_cast<int64_t>(requests.size()), 1, maxSequences);
  generatorOptions.endOfGenerationTokens = session.endOfGenerationTokens();
  for (const GenerationRequest &request : requests)
    if (request.logits == LogitsCollection::All)
      generatorOptions.logits = LogitsCollection::All;

  std::unique_ptr<GenerationSetup> setup(new GenerationSetup());
  StepProgram program = stepProgramOf(session.model());
  program.maxSequenceLength = session.contextLength();
  PoolBounds bounds{program.maxSequenceLength, generatorOptions.maxSequences, poolMemoryLimit()};
  std::vector<PagedKVCache *> caches;
  for (const CacheParameters &parameters : program.caches) {
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(parameters);
    if (!layout)
      return layout.status();
    int64_t numBlocks = options.kvBlocks.value_or(poolBlocksFor(requests, *layout, bounds));
    setup->caches_.push_back(std::make_unique<PagedKVCache>(parameters, numBlocks));
    LLMIR_RETURN_IF_ERROR(setup->caches_.back()->status());
    if (options.shuffleBlocks)
      setup->caches_.back()->shuffleFreeBlocks(*options.shuffleBlocks);
    caches.push_back(setup->caches_.back().get());
  }
  if (options.usesPrefixCache) {
    if (caches.size() != 1)
      return invalidArgument("--prefix-cache needs a model with one KV cache, but this one has " +
                             std::to_string(caches.size()));
    setup->prefixTree_ = std::make_unique<PrefixTree>(*caches[0]);
    LLMIR_RETURN_IF_ERROR(setup->prefixTree_->status());
    caches[0]->setReclaimer(setup->prefixTree_.get());
    generatorOptions.prefixTree = setup->prefixTree_.get();
  }
  StatusOr<std::unique_ptr<Generator>> generator =
      Generator::create(program, session.team(), caches, generatorOptions);
  if (!generator)
    return generator.status();
  setup->generator_ = std::move(*generator);
  return setup;
}

std::vector<const PagedKVCache *> GenerationSetup::caches() const {
  std::vector<const PagedKVCache *> caches;
  for (const auto &cache : caches_)
    caches.push_back(cache.get());
  return caches;
}

int64_t GenerationSetup::cacheBytesPerToken() const {
  int64_t bytes = 0;
  for (const auto &cache : caches_)
    bytes += storedBytesPerToken(cache->layout());
  return bytes;
}

} // namespace llmir
