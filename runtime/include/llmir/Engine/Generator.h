// Generator: serves a fixed set of requests to their end: prompts in chunks, then decoding,
// everything that runs in one ragged step per iteration. It has no queue for requests that arrive
// later, and a request that does not fit the pool yet waits until others have ended.

#ifndef LLMIR_ENGINE_GENERATOR_H
#define LLMIR_ENGINE_GENERATOR_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/PrefixTree.h"
#include "llmir/Engine/GenerationRequest.h"
#include "llmir/Engine/StepRunner.h"

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace llmir {

struct GeneratorOptions {
  /// Most prompt tokens of a step: more would not be computed faster, only need more memory.
  static constexpr int64_t maxChunk = 512;

  int64_t chunk = maxChunk; ///< Prompt tokens a step, 1 to maxChunk.
  int64_t maxSequences = 64;
  /// Whether requests may collect logits: makes room for a row for each token of a step, and
  /// shortens the chunk where that would be more than 256 MiB.
  LogitsCollection logits = LogitsCollection::None;
  std::vector<int32_t> endOfGenerationTokens;
  /// Remembers prompts, so that later ones that start alike compute the rest only; what comes out
  /// is the same. For programs with one cache, whose reclaimer the tree must be; it must outlive
  /// the generator, and keeps the cache's blocks between runs as long as there is room.
  PrefixTree *prefixTree = nullptr;
  /// For a program that is one rank's part; every rank serves the same requests in the same order.
  Collective *collective = nullptr;
};

struct GenerationContext;

/// How many tokens of a request the caches must hold at most: its prompt and what is fed back,
/// within `maxSequenceLength`.
int64_t contextTokensNeeded(const GenerationRequest &request, int64_t maxSequenceLength);

/// The engine's loop over requests. For one thread, the one that made the team; allocates when a
/// request starts, and in the first steps.
class Generator {
public:
  ~Generator();
  Generator(const Generator &) = delete;
  Generator &operator=(const Generator &) = delete;

  /// Errors: InvalidArgument for options out of range, and StepRunner::create's. The team and the
  /// caches must outlive the generator, which uses ids of sequences from 0 on.
  static StatusOr<std::unique_ptr<Generator>> create(const StepProgram &program, WorkerTeam &team,
                                                     std::span<PagedKVCache *const> caches,
                                                     const GeneratorOptions &options);

  /// Serves `requests`. InvalidArgument for a request that can never work (names its number),
  /// ResourceExhausted for one that needs more blocks than the pool has; nothing runs then.
  /// Whatever the outcome, all blocks are given back (to the prefix tree what it remembers).
  Status run(std::span<const GenerationRequest> requests, GenerationListener &listener);

  /// Of all runs since the generator was made.
  const GenerationStatistics &statistics() const;

private:
  explicit Generator(std::unique_ptr<GenerationContext> context);

  std::unique_ptr<GenerationContext> context_;
};

} // namespace llmir

#endif // LLMIR_ENGINE_GENERATOR_H
