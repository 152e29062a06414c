// PrefixAwareKVCache: a paged KV cache whose new sequences start with what earlier ones have
// computed: a PagedKVCache, its PrefixTree, and which tokens each sequence consists of. It computes
// no keys or values. For one thread.

#ifndef LLMIR_CACHE_PREFIXAWAREKVCACHE_H
#define LLMIR_CACHE_PREFIXAWAREKVCACHE_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/PrefixTree.h"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace llmir {

struct PrefixCacheConfig {
  /// Prefixes to remember at most: paths to a block without another behind it.
  int64_t maxCachedPrefixes = 1000;
  /// Whether a prompt may start with any part of a prefix; otherwise with whole ones only.
  bool enableRadixTree = true;
  /// A file for evicted blocks and how many it has room for; no file: they are forgotten.
  std::string storePath;
  int64_t storeBlocks = 0;
  PrefixTreeListener *listener = nullptr; ///< Outlives the cache.
};

class PrefixAwareKVCache {
public:
  /// The arguments of PagedKVCache, and what to remember. A constructor that fails leaves status(),
  /// which every later call returns.
  PrefixAwareKVCache(int64_t numLayers, int64_t numHeads, int64_t headDim, int64_t blockSize,
                     int64_t maxSeqLen, ElementType elementType,
                     const PrefixCacheConfig &config = {},
                     std::optional<int64_t> numBlocks = std::nullopt);
  explicit PrefixAwareKVCache(const CacheParameters &parameters,
                              const PrefixCacheConfig &config = {},
                              std::optional<int64_t> numBlocks = std::nullopt);
  PrefixAwareKVCache(const PrefixAwareKVCache &) = delete;
  PrefixAwareKVCache &operator=(const PrefixAwareKVCache &) = delete;

  /// Ok, or why the constructor failed.
  const Status &status() const { return status_; }
  /// For steps of compiled code, lookups and lengths. Change sequences that were started here only
  /// through this object, except by reserve(), after which commitSequence() is due.
  PagedKVCache &cache() { return cache_; }
  const PagedKVCache &cache() const { return cache_; }
  PrefixTree &getPrefixCache() { return *tree_; }

  /// Makes sequence `sequenceId` out of the longest cached prefix of its prompt and returns how
  /// many tokens that is: the first ones that need not be computed. At least one token is left.
  /// -1 when the sequence cannot be made; startStatus() says why.
  int64_t initializeSequence(int32_t sequenceId, const int32_t *promptTokens, int64_t promptLength,
                             const PrefixNamespace &nameSpace = {});
  /// Of the last initializeSequence().
  const Status &startStatus() const { return startStatus_; }

  /// The same with a reason for failing. FailedPrecondition when the sequence exists,
  /// InvalidArgument for an empty prompt, ResourceExhausted for one longer than max_seq_len.
  /// `retention` is that of the blocks of the sequence, set when they are remembered.
  StatusOr<int64_t> startSequence(SequenceId sequence, std::span<const int32_t> prompt,
                                  const PrefixNamespace &nameSpace = {},
                                  std::vector<PrefixRetention> retention = {});
  /// Tells which tokens follow those known of a sequence, so that their blocks can be remembered;
  /// before or after their keys and values are there. NotFound for a sequence not started here.
  Status extendSequence(SequenceId sequence, std::span<const int32_t> tokens);
  /// Remembers the full blocks of a sequence whose tokens are known and whose keys and values are
  /// there; done by appendKV() and freeSequence(), needed after a step of compiled code.
  Status commitSequence(SequenceId sequence);
  /// PagedKVCache::truncate, and forgets which tokens followed.
  Status truncate(SequenceId sequence, int64_t length);
  /// Gives the sequence up. Its blocks stay as long as they are remembered and have room.
  Status freeSequence(SequenceId sequence);

  /// PagedKVCache's; full blocks are remembered (with single layers: after the last one).
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices);
  Status appendKV(const void *keyPtr, const void *valuePtr, int64_t batchSize, int64_t seqLen,
                  const int32_t *seqIds, int32_t *blockIndices, int64_t layer);
  Status lookupKV(const int32_t *blockIndices, const int32_t *seqLens, int64_t batchSize,
                  void *outputKeys, void *outputValues) const;

  /// Ok when the tree, the pool and the sequences agree; linear in all of them. For tests.
  Status checkInvariants() const;

private:
  /// What a sequence consists of.
  struct Content {
    std::vector<int32_t> tokens;
    PrefixKeyChain keys{PrefixKey(), 1};
    std::vector<PrefixRetention> retention;
    int64_t numCommitted = 0; ///< Blocks.
  };

  Status initialize(const PrefixCacheConfig &config);
  Status commit(SequenceId sequence, Content &content);
  Status commitBatch(const int32_t *seqIds, int64_t batchSize);

  Status status_;
  Status startStatus_;
  PagedKVCache cache_;
  std::unique_ptr<PrefixTree> tree_;
  using ContentMap = std::map<SequenceId, Content>;
  ContentMap contents_;
  NodeReuse<ContentMap> endedContents_;
};

} // namespace llmir

#endif // LLMIR_CACHE_PREFIXAWAREKVCACHE_H
