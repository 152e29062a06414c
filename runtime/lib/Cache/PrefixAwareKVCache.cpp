// PrefixAwareKVCache: which tokens sequences have, and when their blocks go to the tree.

#include "llmir/Cache/PrefixAwareKVCache.h"

#include "llmir/Cache/WriteBehindStore.h"

#include <algorithm>

namespace llmir {

static Status notStarted(SequenceId sequence) {
  return notFound(describe(sequence) + " was not started with a prompt");
}

PrefixAwareKVCache::PrefixAwareKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim,
                                       int64_t blockSize, int64_t maxSeqLen,
                                       ElementType elementType, const PrefixCacheConfig &config,
                                       std::optional<int64_t> numBlocks)
    : cache_(numLayers, numHeads, headDim, blockSize, maxSeqLen, elementType, numBlocks) {
  status_ = initialize(config);
}

PrefixAwareKVCache::PrefixAwareKVCache(const CacheParameters &parameters,
                                       const PrefixCacheConfig &config,
                                       std::optional<int64_t> numBlocks)
    : cache_(parameters, numBlocks) {
  status_ = initialize(config);
}

Status PrefixAwareKVCache::initialize(const PrefixCacheConfig &config) {
  PrefixTreeOptions options;
  options.maxPrefixes = config.maxCachedPrefixes;
  options.matching =
      config.enableRadixTree ? PrefixMatching::Blocks : PrefixMatching::WholePrefixes;
  options.listener = config.listener;
  Status stored;
  if (cache_.status() && !config.storePath.empty()) {
    StatusOr<std::unique_ptr<BlockFile>> file = BlockFile::create(
        config.storePath, static_cast<size_t>(cache_.layout().block_stride), config.storeBlocks);
    constexpr size_t copiesUnderWay = 8;
    if (file)
      options.store = std::make_unique<WriteBehindStore>(*std::move(file), copiesUnderWay);
    else
      stored = file.status().withContext("prefix cache");
  }
  tree_ = std::make_unique<PrefixTree>(cache_, std::move(options));
  cache_.setReclaimer(tree_.get());
  LLMIR_RETURN_IF_ERROR(stored);
  return tree_->status();
}

int64_t PrefixAwareKVCache::initializeSequence(int32_t sequenceId, const int32_t *promptTokens,
                                               int64_t promptLength,
                                               const PrefixNamespace &nameSpace) {
  if (promptLength < 0 || (promptLength > 0 && !promptTokens)) {
    startStatus_ = invalidArgument("expected a prompt of 1 or more tokens, but got " +
                                   std::to_string(promptLength) +
                                   (promptTokens ? " tokens" : " tokens at a null pointer"));
    return -1;
  }
  StatusOr<int64_t> length = startSequence(
      SequenceId{sequenceId}, {promptTokens, static_cast<size_t>(promptLength)}, nameSpace);
  startStatus_ = length.status();
  return length ? *length : -1;
}

StatusOr<int64_t> PrefixAwareKVCache::startSequence(SequenceId sequence,
                                                    std::span<const int32_t> prompt,
                                                    const PrefixNamespace &nameSpace,
                                                    std::vector<PrefixRetention> retention) {
  LLMIR_RETURN_IF_ERROR(status_);
  const llmir_cache_layout &layout = cache_.layout();
  if (cache_.contains(sequence))
    return failedPrecondition("cannot start " + describe(sequence) + ": it exists");
  if (prompt.empty())
    return invalidArgument("expected a prompt of 1 or more tokens for " + describe(sequence) +
                           ", but got 0");
  if (prompt.size() > static_cast<size_t>(layout.max_seq_len))
    return resourceExhausted("the prompt of " + describe(sequence) + " has " +
                             std::to_string(prompt.size()) + " tokens, but a sequence may have " +
                             std::to_string(layout.max_seq_len));
  // One that is there belongs to a sequence that was freed behind this object's back.
  ContentMap::iterator entry = endedContents_.add(contents_, sequence).first;
  Content &content = entry->second;
  content.tokens.assign(prompt.begin(), prompt.end());
  content.keys.restart(rootKey(nameSpace, layout.block_size), layout.block_size);
  content.keys.extend(prompt);
  content.retention = std::move(retention);
  content.numCommitted = 0;
  PrefixMatch match = tree_->match(content.keys, prompt);
  if (Status attached = cache_.attach(sequence, match.blocks, match.length); !attached) {
    endedContents_.erase(contents_, entry);
    return attached;
  }
  return match.length;
}

Status PrefixAwareKVCache::extendSequence(SequenceId sequence, std::span<const int32_t> tokens) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = contents_.find(sequence);
  if (found == contents_.end())
    return notStarted(sequence);
  found->second.tokens.insert(found->second.tokens.end(), tokens.begin(), tokens.end());
  return commit(sequence, found->second);
}

Status PrefixAwareKVCache::commit(SequenceId sequence, Content &content) {
  StatusOr<int64_t> length = cache_.length(sequence);
  if (!length)
    return length.status();
  int64_t known = std::min(*length, static_cast<int64_t>(content.tokens.size()));
  int64_t numFull = known / cache_.layout().block_size;
  if (numFull <= content.numCommitted)
    return Status::ok();
  std::span<const int32_t> tokens = std::span(content.tokens).first(static_cast<size_t>(known));
  content.keys.extend(tokens);
  StatusOr<int64_t> inserted =
      tree_->insert(content.keys, tokens, *cache_.blocks(sequence), content.retention);
  if (!inserted)
    return inserted.status();
  content.numCommitted = numFull;
  return Status::ok();
}

Status PrefixAwareKVCache::commitSequence(SequenceId sequence) {
  LLMIR_RETURN_IF_ERROR(status_);
  auto found = contents_.find(sequence);
  return found == contents_.end() ? notStarted(sequence) : commit(sequence, found->second);
}

Status PrefixAwareKVCache::commitBatch(const int32_t *seqIds, int64_t batchSize) {
  for (int64_t b = 0; b < batchSize; ++b)
    if (auto found = contents_.find(SequenceId{seqIds[b]}); found != contents_.end())
      LLMIR_RETURN_IF_ERROR(commit(found->first, found->second));
  return Status::ok();
}

Status PrefixAwareKVCache::truncate(SequenceId sequence, int64_t length) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(cache_.truncate(sequence, length));
  auto found = contents_.find(sequence);
  if (found == contents_.end())
    return Status::ok();
  Content &content = found->second;
  content.tokens.resize(std::min(content.tokens.size(), static_cast<size_t>(length)));
  content.keys.truncate(length);
  content.numCommitted = std::min(content.numCommitted, length / cache_.layout().block_size);
  return Status::ok();
}

Status PrefixAwareKVCache::freeSequence(SequenceId sequence) {
  LLMIR_RETURN_IF_ERROR(status_);
  if (auto found = contents_.find(sequence); found != contents_.end()) {
    LLMIR_RETURN_IF_ERROR(commit(sequence, found->second));
    endedContents_.erase(contents_, found);
  }
  return cache_.freeSequence(sequence);
}

Status PrefixAwareKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                                    int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(cache_.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices));
  return commitBatch(seqIds, batchSize);
}

Status PrefixAwareKVCache::appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize,
                                    int64_t seqLen, const int32_t *seqIds, int32_t *blockIndices,
                                    int64_t layer) {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(
      cache_.appendKV(keyPtr, valuePtr, batchSize, seqLen, seqIds, blockIndices, layer));
  return layer == cache_.layout().num_layers - 1 ? commitBatch(seqIds, batchSize) : Status::ok();
}

Status PrefixAwareKVCache::lookupKV(const int32_t *blockIndices, const int32_t *seqLens,
                                    int64_t batchSize, void *outputKeys, void *outputValues) const {
  LLMIR_RETURN_IF_ERROR(status_);
  return cache_.lookupKV(blockIndices, seqLens, batchSize, outputKeys, outputValues);
}

Status PrefixAwareKVCache::checkInvariants() const {
  LLMIR_RETURN_IF_ERROR(status_);
  LLMIR_RETURN_IF_ERROR(tree_->checkInvariants());
  std::vector<BlockId> held;
  tree_->appendHeldBlocks(held);
  return cache_.checkInvariants(held);
}

} // namespace llmir
