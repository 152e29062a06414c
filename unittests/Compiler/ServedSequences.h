// ServedSequences: a compiled model with a paged cache that may be full, for tests of what a model
// computes when its cache is used in every way. Each step feeds chosen tokens and gives the bytes
// of their logits.

#ifndef LLMIR_UNITTESTS_COMPILER_SERVEDSEQUENCES_H
#define LLMIR_UNITTESTS_COMPILER_SERVEDSEQUENCES_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/SpeculativeKVCache.h"
#include "llmir/Device/WorkerTeam.h"
#include "llmir/Engine/LoadedModel.h"
#include "llmir/Engine/StepRunner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

namespace llmir::testing {

using Tokens = std::vector<int32_t>;
/// Rows of logits one after another.
using Logits = std::vector<float>;

/// Tokens that depend on `seed` only.
inline Tokens makeTokens(uint32_t seed, size_t count) {
  Tokens tokens;
  for (size_t i = 0; i < count; ++i) {
    seed = seed * 1664525u + 1013904223u;
    tokens.push_back(static_cast<int32_t>(seed >> 8) % 40000);
  }
  return tokens;
}

/// The tokens from `first` to before `last`.
inline Tokens slice(const Tokens &tokens, size_t first, size_t last) {
  return {tokens.begin() + static_cast<int64_t>(first),
          tokens.begin() + static_cast<int64_t>(last)};
}

class ServedSequences {
public:
  /// What one sequence gets in a step.
  struct Feed {
    int32_t sequence;
    Tokens tokens;
    LogitsRows rows = LogitsRows::All;
  };

  /// Over a cache of its own.
  ServedSequences(const LoadedModel &model, WorkerTeam &team, int64_t numBlocks,
                  uint64_t shuffleSeed)
      : ServedSequences(
            model, team,
            std::make_unique<PagedKVCache>(model.manifest().caches.front(), numBlocks)) {
    cache.shuffleFreeBlocks(shuffleSeed);
  }
  /// Over a cache that somebody else manages, who outlives it.
  ServedSequences(const LoadedModel &model, WorkerTeam &team, PagedKVCache &cache)
      : cache(cache), model_(model), team_(team) {
    PagedKVCache *caches[] = {&cache};
    auto runner = StepRunner::create(stepProgramOf(model), team, caches, {512, 64, 512});
    EXPECT_TRUE(runner.isOk()) << runner.status().message();
    runner_ = *std::move(runner);
  }

  // The runner has the cache's address.
  ServedSequences(const ServedSequences &) = delete;
  ServedSequences &operator=(const ServedSequences &) = delete;

  /// Runs one step and returns the logits that were asked for, for each sequence.
  std::vector<Logits> step(const std::vector<Feed> &feeds) {
    runner_->batch().clear();
    std::vector<RowRange> ranges;
    for (const Feed &feed : feeds) {
      SequenceId id{feed.sequence};
      int64_t length = cache.contains(id) ? *cache.length(id) : 0;
      auto range = runner_->batch().add({id, feed.tokens, length, feed.rows});
      EXPECT_TRUE(range.isOk()) << range.status().message();
      ranges.push_back(*range);
    }
    Status status = runner_->run();
    EXPECT_TRUE(status.isOk()) << status.message();
    std::vector<Logits> all(feeds.size());
    for (size_t i = 0; status.isOk() && i < feeds.size(); ++i)
      for (int64_t row = ranges[i].first; row < ranges[i].first + ranges[i].count; ++row) {
        std::span<const float> logits = runner_->logits(row);
        all[i].insert(all[i].end(), logits.begin(), logits.end());
      }
    return all;
  }
  /// The logits of all `tokens` of one sequence, alone in a step.
  Logits feed(int32_t sequence, Tokens tokens) {
    return step({{sequence, std::move(tokens)}}).front();
  }

  /// Computes draft tokens on a branch of a sequence, token i after draft token `parents[i]` or the
  /// context (-1), as one step with the tree's masks and positions; the logits of all of them.
  Logits draft(SpeculativeKVCache &speculative, int32_t sequence, int32_t branch,
               const Tokens &tokens, const std::vector<int32_t> &parents) {
    CacheStepTables tables;
    Status status = speculative.reserveSpeculativeKV(sequence, parents, branch, tables);
    EXPECT_TRUE(status.isOk()) << status.message();
    if (!status)
      return {};
    const TokenTree &tree = **speculative.branchTree(sequence, branch);
    SequenceId fork = *speculative.branchSequence(sequence, branch);
    auto count = static_cast<int32_t>(tokens.size());
    auto length = static_cast<int32_t>(*cache.length(fork));
    std::vector<int32_t> positions, rows(tokens.size()), cuLengths = {0, count};
    std::vector<uint64_t> masks;
    tree.appendPositions(length - count, positions);
    tree.appendMasks(masks);
    std::iota(rows.begin(), rows.end(), 0);
    Logits logits(tokens.size() * static_cast<size_t>(model_.manifest().vocabularySize));
    HostMemory workspace = *HostMemory::allocate(
        static_cast<size_t>(model_.workspaceBytes(count, 1, count, team_.size())));
    llmir_cache_view view = cache.view(tables);
    llmir_step_args args = {};
    args.struct_size = sizeof(llmir_step_args);
    args.num_tokens = args.num_rows = count;
    args.num_sequences = 1;
    args.tokens = tokens.data();
    args.positions = positions.data();
    args.cu_lengths = cuLengths.data();
    args.context_lengths = &length;
    args.rows = rows.data();
    args.logits = logits.data();
    args.caches = &view;
    args.num_caches = 1;
    args.weights = model_.weights();
    args.workspace = workspace.data();
    args.world_size = 1;
    args.barrier = &WorkerTeam::barrierEntry;
    args.team = &team_;
    args.tree_mask = tree.isChain() ? nullptr : masks.data();
    team_.run([&](int32_t worker) { model_.step()(&args, worker, team_.size()); });
    return logits;
  }

  /// Gives every free block to sequences from `firstSequence` on, with tokens of their own.
  void fillPool(int32_t firstSequence) {
    int32_t blockSize = cache.layout().block_size;
    for (int32_t id = firstSequence; cache.pool().numFree() > 0; ++id) {
      int64_t tokens = std::min<int64_t>(4, cache.pool().numFree()) * blockSize;
      step({{id, makeTokens(static_cast<uint32_t>(7000 + id), static_cast<size_t>(tokens)),
             LogitsRows::Last}});
    }
    EXPECT_EQ(cache.pool().numFree(), 0);
  }

  /// Frees every sequence from `firstSequence` on.
  void freeFrom(int32_t firstSequence) {
    for (int32_t id = firstSequence; cache.contains(SequenceId{id}); ++id)
      EXPECT_TRUE(cache.freeSequence(SequenceId{id}).isOk());
  }

private:
  ServedSequences(const LoadedModel &model, WorkerTeam &team, std::unique_ptr<PagedKVCache> owned)
      : ServedSequences(model, team, *owned) {
    owned_ = std::move(owned);
  }

public:
  PagedKVCache &cache;

private:
  const LoadedModel &model_;
  WorkerTeam &team_;
  std::unique_ptr<PagedKVCache> owned_;
  std::unique_ptr<StepRunner> runner_;
};

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_COMPILER_SERVEDSEQUENCES_H
