// SpeculativeKVCache: branches as forks of sequences in one cache.

#include "llmir/Cache/SpeculativeKVCache.h"

#include "llmir/Base/RandomStream.h"
#include "llmir/Cache/StoredTokenCopy.h"

#include <limits>
#include <numeric>
#include <string>
#include <vector>

namespace llmir {

namespace {

std::string nameOf(int32_t sequence, int32_t branch) {
  return "branch " + std::to_string(branch) + " of sequence " + std::to_string(sequence);
}

/// Forks have the smallest ids, which callers do not use.
SequenceId forkId(int32_t branch) {
  return SequenceId{std::numeric_limits<int32_t>::min() + branch};
}

/// first, first + 1, …: `count` numbers.
std::span<const int32_t> countFrom(int64_t first, int64_t count, std::vector<int32_t> &numbers) {
  numbers.resize(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), static_cast<int32_t>(first));
  return numbers;
}

} // namespace

SpeculativeKVCache::SpeculativeKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim,
                                       int64_t blockSize, int64_t maxSeqLen,
                                       ElementType elementType, const SpeculativeConfig &config,
                                       std::optional<int64_t> numBlocks)
    : cache_(numLayers, numHeads, headDim, blockSize, maxSeqLen, elementType, numBlocks) {
  status_ = initialize(config);
}

SpeculativeKVCache::SpeculativeKVCache(const CacheParameters &parameters,
                                       const SpeculativeConfig &config,
                                       std::optional<int64_t> numBlocks)
    : cache_(parameters, numBlocks) {
  status_ = initialize(config);
}

Status SpeculativeKVCache::initialize(const SpeculativeConfig &config) {
  config_ = config;
  LLMIR_RETURN_IF_ERROR(cache_.status());
  int64_t most = config.enableTreeAttention ? TokenTree::maxBranchingTokens
                                            : int64_t(cache_.layout().max_seq_len);
  if (config.maxDraftTokens < 1 || config.maxDraftTokens > most)
    return invalidArgument("speculative KV cache: expected 1 to " + std::to_string(most) +
                           " draft tokens, but got " + std::to_string(config.maxDraftTokens));
  constexpr int32_t mostBranches = 1 << 20;
  if (config.maxBranches < 1 || config.maxBranches > mostBranches)
    return invalidArgument("speculative KV cache: expected 1 to " + std::to_string(mostBranches) +
                           " branches, but got " + std::to_string(config.maxBranches));
  return Status::ok();
}

Status SpeculativeKVCache::createBranch(int32_t sequenceId, int32_t &branchId) {
  LLMIR_RETURN_IF_ERROR(status_);
  if (numBranches() >= config_.maxBranches)
    return resourceExhausted("cannot add a branch to sequence " + std::to_string(sequenceId) +
                             ": there are " + std::to_string(numBranches()) +
                             ", which is the most there may be");
  SequenceId sequence{sequenceId};
  StatusOr<int64_t> length = cache_.length(sequence);
  if (!length)
    return length.status();
  // Numbers are used again only after all others, so that one of a branch that has ended is not
  // soon another's.
  int32_t id = nextBranch_;
  while (branches_.count(id) != 0 || cache_.contains(forkId(id)))
    id = id == std::numeric_limits<int32_t>::max() ? 0 : id + 1;
  LLMIR_RETURN_IF_ERROR(cache_.fork(sequence, forkId(id)));
  nextBranch_ = id == std::numeric_limits<int32_t>::max() ? 0 : id + 1;
  Branch &branch = endedBranches_.add(branches_, id).first->second;
  branch.sequence = sequence;
  branch.fork = forkId(id);
  branch.contextLength = *length;
  branch.tree.clear();
  branchId = id;
  return Status::ok();
}

StatusOr<const SpeculativeKVCache::Branch *>
SpeculativeKVCache::findBranch(int32_t sequenceId, int32_t branchId) const {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = branches_.find(branchId);
  if (found == branches_.end() || found->second.sequence != SequenceId{sequenceId})
    return notFound("unknown " + nameOf(sequenceId, branchId));
  return &found->second;
}

StatusOr<SpeculativeKVCache::Branch *> SpeculativeKVCache::findBranch(int32_t sequenceId,
                                                                      int32_t branchId) {
  StatusOr<const Branch *> branch = std::as_const(*this).findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  return const_cast<Branch *>(*branch);
}

StatusOr<const TokenTree *> SpeculativeKVCache::branchTree(int32_t sequenceId,
                                                           int32_t branchId) const {
  StatusOr<const Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  return &(*branch)->tree;
}

StatusOr<SequenceId> SpeculativeKVCache::branchSequence(int32_t sequenceId,
                                                        int32_t branchId) const {
  StatusOr<const Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  return (*branch)->fork;
}

Status SpeculativeKVCache::extendTree(const Branch &branch, std::span<const int32_t> parents) {
  TokenTree &tree = scratchTree_;
  tree = branch.tree;
  if (static_cast<int64_t>(parents.size()) > config_.maxDraftTokens - tree.size())
    return resourceExhausted("a branch may have " + std::to_string(config_.maxDraftTokens) +
                             " draft tokens, but this one would have " +
                             std::to_string(tree.size() + static_cast<int64_t>(parents.size())));
  for (int32_t parent : parents)
    LLMIR_RETURN_IF_ERROR(tree.add(parent));
  if (!tree.isChain() && !config_.enableTreeAttention)
    return failedPrecondition("the draft branches, but tree attention is not enabled");
  return Status::ok();
}

Status SpeculativeKVCache::reserveSpeculativeKV(int32_t sequenceId,
                                                std::span<const int32_t> parents, int32_t branchId,
                                                CacheStepTables &tables) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  LLMIR_RETURN_IF_ERROR(extendTree(**branch, parents));
  AppendRequest request{(*branch)->fork, static_cast<int64_t>(parents.size())};
  LLMIR_RETURN_IF_ERROR(cache_.reserve({&request, 1}, tables));
  std::swap((*branch)->tree, scratchTree_);
  return Status::ok();
}

Status SpeculativeKVCache::appendSpeculativeKV(const void *keyData, const void *valueData,
                                               int32_t sequenceId, std::span<const int32_t> parents,
                                               int32_t branchId) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  LLMIR_RETURN_IF_ERROR(extendTree(**branch, parents));
  auto fork = static_cast<int32_t>((*branch)->fork);
  LLMIR_RETURN_IF_ERROR(
      cache_.appendKV(keyData, valueData, 1, static_cast<int64_t>(parents.size()), &fork, nullptr));
  std::swap((*branch)->tree, scratchTree_);
  return Status::ok();
}

Status SpeculativeKVCache::appendSpeculativeKV(const void *keyData, const void *valueData,
                                               int32_t sequenceId, int64_t numDraftTokens,
                                               int32_t branchId) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  if (numDraftTokens < 0 || numDraftTokens > config_.maxDraftTokens)
    return resourceExhausted("expected 0 to " + std::to_string(config_.maxDraftTokens) +
                             " draft tokens, but got " + std::to_string(numDraftTokens));
  return appendSpeculativeKV(keyData, valueData, sequenceId,
                             countFrom((*branch)->tree.size() - 1, numDraftTokens, scratchNumbers_),
                             branchId);
}

UniformSource SpeculativeKVCache::uniformSource(SequenceId sequence) {
  auto id = static_cast<int32_t>(sequence);
  auto [drawn, isNew] = endedDraws_.add(numDrawn_, id);
  if (isNew)
    drawn->second = 0;
  // Small enough that std::function keeps it in place.
  return [this, id] {
    RandomStream stream{config_.seed, static_cast<uint32_t>(id)};
    return stream.uniform(numDrawn_.find(id)->second++);
  };
}

Status SpeculativeKVCache::verifySpeculation(int32_t sequenceId, int32_t branchId,
                                             const float *targetLogProbs, int64_t numTokens,
                                             VerificationResult &result) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  if (numTokens < 0 || (numTokens > 0 && !targetLogProbs))
    return invalidArgument("expected log-probabilities of 0 or more tokens, but got " +
                           std::to_string(numTokens) +
                           (targetLogProbs ? "" : " at a null pointer"));
  return verifyDraft((*branch)->tree, {targetLogProbs, static_cast<size_t>(numTokens)},
                     uniformSource((*branch)->sequence), result);
}

Status SpeculativeKVCache::verifySpeculation(int32_t sequenceId, int32_t branchId,
                                             const DraftDistributions &distributions,
                                             VerificationResult &result) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  return verifyDraft((*branch)->tree, distributions, uniformSource((*branch)->sequence), result,
                     scratchProbabilities_);
}

Status SpeculativeKVCache::moveTogether(const Branch &branch, std::span<const int32_t> path) {
  for (size_t i = 0; i < path.size(); ++i) {
    // Tokens come after those they follow, so none is overwritten before it has moved.
    if (path[i] == static_cast<int32_t>(i))
      continue;
    StatusOr<int32_t> from = cache_.slot(branch.fork, branch.contextLength + path[i]);
    StatusOr<int32_t> to = cache_.slot(branch.fork, branch.contextLength + int64_t(i));
    if (!from || !to)
      return from ? to.status() : from.status();
    copyStoredToken(cache_.layout(), cache_.base(), *from, *to);
  }
  return Status::ok();
}

Status SpeculativeKVCache::commitSpeculation(int32_t sequenceId, int32_t branchId,
                                             std::span<const int32_t> path) {
  StatusOr<Branch *> found = findBranch(sequenceId, branchId);
  if (!found)
    return found.status();
  const Branch &branch = **found;
  if (Status status = branch.tree.checkPath(path); !status)
    return status.withContext(nameOf(sequenceId, branchId));
  StatusOr<int64_t> length = cache_.length(branch.sequence);
  if (!length || *length != branch.contextLength)
    return failedPrecondition("cannot commit " + nameOf(sequenceId, branchId) +
                              ": it began after " + std::to_string(branch.contextLength) +
                              " tokens, and the sequence now " +
                              (length ? "has " + std::to_string(*length) : std::string("is gone")));
  if (!path.empty()) {
    LLMIR_RETURN_IF_ERROR(moveTogether(branch, path));
    int64_t newLength = branch.contextLength + static_cast<int64_t>(path.size());
    LLMIR_RETURN_IF_ERROR(cache_.truncate(branch.fork, newLength));
    // The fork owns the blocks until the sequence does.
    LLMIR_RETURN_IF_ERROR(cache_.freeSequence(branch.sequence));
    LLMIR_RETURN_IF_ERROR(cache_.attach(branch.sequence, *cache_.blocks(branch.fork), newLength));
  }
  dropBranches(branch.sequence);
  return cache_.status();
}

Status SpeculativeKVCache::commitSpeculation(int32_t sequenceId, int32_t branchId,
                                             int64_t acceptedCount) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  if (acceptedCount < 0 || acceptedCount > (*branch)->tree.size())
    return invalidArgument("expected 0 to " + std::to_string((*branch)->tree.size()) +
                           " accepted tokens of " + nameOf(sequenceId, branchId) + ", but got " +
                           std::to_string(acceptedCount));
  if (!(*branch)->tree.isChain() && acceptedCount > 0)
    return failedPrecondition("cannot commit the first " + std::to_string(acceptedCount) +
                              " tokens of " + nameOf(sequenceId, branchId) +
                              ": it is a tree, so a path is needed");
  return commitSpeculation(sequenceId, branchId, countFrom(0, acceptedCount, scratchNumbers_));
}

Status SpeculativeKVCache::rollbackSpeculation(int32_t sequenceId, int32_t branchId) {
  StatusOr<Branch *> branch = findBranch(sequenceId, branchId);
  if (!branch)
    return branch.status();
  LLMIR_RETURN_IF_ERROR(cache_.freeSequence((*branch)->fork));
  endedBranches_.erase(branches_, branches_.find(branchId));
  return Status::ok();
}

void SpeculativeKVCache::dropBranches(SequenceId sequence) {
  for (BranchMap::iterator entry = branches_.begin(); entry != branches_.end();) {
    if (entry->second.sequence != sequence) {
      ++entry;
      continue;
    }
    if (Status freed = cache_.freeSequence(entry->second.fork); !freed)
      cache_.fail(freed.withContext("branch"));
    entry = endedBranches_.erase(branches_, entry);
  }
}

Status SpeculativeKVCache::freeSequence(int32_t sequenceId) {
  LLMIR_RETURN_IF_ERROR(status_);
  SequenceId sequence{sequenceId};
  LLMIR_RETURN_IF_ERROR(cache_.freeSequence(sequence));
  dropBranches(sequence);
  if (auto drawn = numDrawn_.find(sequenceId); drawn != numDrawn_.end())
    endedDraws_.erase(numDrawn_, drawn);
  return cache_.status();
}

Status SpeculativeKVCache::checkInvariants() const {
  LLMIR_RETURN_IF_ERROR(status_);
  for (const auto &[id, branch] : branches_) {
    StatusOr<int64_t> length = cache_.length(branch.fork);
    if (!length || *length != branch.contextLength + branch.tree.size())
      return internalError("branch " + std::to_string(id) + " has " +
                           std::to_string(branch.tree.size()) + " tokens after " +
                           std::to_string(branch.contextLength) + ", but its fork has " +
                           (length ? std::to_string(*length) : std::string("none")));
  }
  return cache_.checkInvariants();
}

} // namespace llmir
