// SpeculativeKVCache: a paged KV cache whose sequences may be continued by draft tokens on branches
// that are verified, then committed or rolled back. A branch is a copy-on-write fork, so that
// nothing of its sequence changes before it is committed. It runs no model. For one thread.

#ifndef LLMIR_CACHE_SPECULATIVEKVCACHE_H
#define LLMIR_CACHE_SPECULATIVEKVCACHE_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/RejectionSampling.h"
#include "llmir/Cache/TokenTree.h"

#include <map>
#include <unordered_map>

namespace llmir {

struct SpeculativeConfig {
  /// Tokens that a branch may have; at most 64 with tree attention.
  int64_t maxDraftTokens = 8;
  /// Whether tokens of a branch may have several continuations.
  bool enableTreeAttention = false;
  /// Branches of all sequences together.
  int64_t maxBranches = 1024;
  /// Of the random numbers of verifications: those of a sequence depend on this, its id and how
  /// many were drawn for it.
  uint64_t seed = 0;
};

class SpeculativeKVCache {
public:
  /// The arguments of PagedKVCache, and how to speculate. A constructor that fails leaves status(),
  /// which every later call returns.
  SpeculativeKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
                     int64_t maxSeqLen, ElementType elementType,
                     const SpeculativeConfig &config = {},
                     std::optional<int64_t> numBlocks = std::nullopt);
  explicit SpeculativeKVCache(const CacheParameters &parameters,
                              const SpeculativeConfig &config = {},
                              std::optional<int64_t> numBlocks = std::nullopt);

  const Status &status() const { return status_; }
  /// For appending to sequences, steps of compiled code, lookups and lengths. Sequences with
  /// branches must not be changed, and are freed with freeSequence(); branches have ids that no
  /// caller's sequence has.
  PagedKVCache &cache() { return cache_; }
  const PagedKVCache &cache() const { return cache_; }

  /// A new branch at the end of a sequence; a sequence may have several. NotFound for an unknown
  /// sequence; ResourceExhausted when there are maxBranches.
  Status createBranch(int32_t sequenceId, int32_t &branchId);
  /// Appends draft tokens to a branch, each after the one before it: keys and values
  /// [layers, tokens, KV heads, head dim]. All or nothing: ResourceExhausted past maxDraftTokens or
  /// when blocks run out.
  Status appendSpeculativeKV(const void *keyData, const void *valueData, int32_t sequenceId,
                             int64_t numDraftTokens, int32_t branchId);
  /// The same for a tree: token i follows draft token parents[i] of the branch, or the context
  /// (-1). FailedPrecondition for one that branches without enableTreeAttention.
  Status appendSpeculativeKV(const void *keyData, const void *valueData, int32_t sequenceId,
                             std::span<const int32_t> parents, int32_t branchId);
  /// Room for these tokens, to be written by a step of compiled code with branchSequence().
  Status reserveSpeculativeKV(int32_t sequenceId, std::span<const int32_t> parents,
                              int32_t branchId, CacheStepTables &tables);

  /// The draft tokens of a branch, with their masks and positions; valid until it changes.
  StatusOr<const TokenTree *> branchTree(int32_t sequenceId, int32_t branchId) const;
  /// The sequence of cache() that holds context and draft.
  StatusOr<SequenceId> branchSequence(int32_t sequenceId, int32_t branchId) const;

  /// Which draft tokens to accept, by the target's log-probability of each of the `numTokens` of
  /// the branch; the draft counts as deterministic. Changes neither cache nor branch.
  Status verifySpeculation(int32_t sequenceId, int32_t branchId, const float *targetLogProbs,
                           int64_t numTokens, VerificationResult &result);
  /// The same with draft tokens and distributions, which yields the next token too.
  Status verifySpeculation(int32_t sequenceId, int32_t branchId,
                           const DraftDistributions &distributions, VerificationResult &result);

  /// Makes the first `acceptedCount` tokens of a branch that is a chain the sequence's, and ends
  /// all its branches. With 0 cache and length are exactly as before the branch. InvalidArgument
  /// for more than there are; FailedPrecondition for a tree or a sequence changed since.
  Status commitSpeculation(int32_t sequenceId, int32_t branchId, int64_t acceptedCount);
  /// The same for a path through a tree, whose tokens are moved together.
  Status commitSpeculation(int32_t sequenceId, int32_t branchId, std::span<const int32_t> path);
  /// Ends a branch: cache and length are exactly as before it.
  Status rollbackSpeculation(int32_t sequenceId, int32_t branchId);
  /// Frees a sequence with its branches. NotFound when there is none.
  Status freeSequence(int32_t sequenceId);

  int64_t numBranches() const { return static_cast<int64_t>(branches_.size()); }
  /// Ok when branches, sequences and the pool agree. For tests: linear in all of them.
  Status checkInvariants() const;

private:
  struct Branch {
    SequenceId sequence{}; ///< That it continues.
    SequenceId fork{};     ///< Context and draft in the cache.
    int64_t contextLength = 0;
    TokenTree tree;
  };

  Status initialize(const SpeculativeConfig &config);
  StatusOr<Branch *> findBranch(int32_t sequenceId, int32_t branchId);
  StatusOr<const Branch *> findBranch(int32_t sequenceId, int32_t branchId) const;
  /// Puts the draft of a branch with more tokens into scratchTree_, if it may have them.
  Status extendTree(const Branch &branch, std::span<const int32_t> parents);
  Status moveTogether(const Branch &branch, std::span<const int32_t> path);
  UniformSource uniformSource(SequenceId sequence);
  void dropBranches(SequenceId sequence);

  Status status_;
  SpeculativeConfig config_;
  PagedKVCache cache_;
  using BranchMap = std::map<int32_t, Branch>;
  BranchMap branches_;
  int32_t nextBranch_ = 0;
  using DrawMap = std::unordered_map<int32_t, uint64_t>;
  DrawMap numDrawn_; ///< Random numbers, by sequence.
  // Kept so that nothing is allocated again and again.
  NodeReuse<BranchMap> endedBranches_;
  NodeReuse<DrawMap> endedDraws_;
  TokenTree scratchTree_;
  std::vector<int32_t> scratchNumbers_;
  std::vector<double> scratchProbabilities_;
};

} // namespace llmir

#endif // LLMIR_CACHE_SPECULATIVEKVCACHE_H
