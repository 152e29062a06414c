// PrefixTree: which prefixes of token sequences have their keys and values in blocks of a cache, so
// that a new sequence starts with them. A node is one full block under the key of its content
// (PrefixKey); the tree owns one reference of each block in memory and gives blocks back, least
// recently used and tail first, when the cache needs them. It computes nothing and schedules
// nothing. One thread uses it and its cache at a time.

#ifndef LLMIR_CACHE_PREFIXTREE_H
#define LLMIR_CACHE_PREFIXTREE_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/BlockStore.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/PrefixKey.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace llmir {

/// Where a block is.
enum class PrefixTier { Memory, Disk };

/// A block that came to a tier or left it, for whoever routes requests to where their prefix is.
struct PrefixBlockEvent {
  PrefixKey key;
  PrefixKey parent; ///< The key of the block before it, or of its namespace.
  std::span<const int32_t> tokens;
  PrefixTier tier = PrefixTier::Memory;
};

/// Told of every change, in order, while it happens. Must not call the tree.
class PrefixTreeListener {
public:
  virtual ~PrefixTreeListener() = default;
  virtual void onStored(const PrefixBlockEvent &event) = 0;
  virtual void onRemoved(const PrefixBlockEvent &event) = 0;
};

/// How long the blocks of a range of tokens should live. Blocks of the lowest priority are evicted
/// first, and of one priority those not used for longest.
struct PrefixRetention {
  int64_t firstToken = 0;
  std::optional<int64_t> endToken; ///< One past the last; absent: to the end.
  uint8_t priority = 0;
  /// After which the blocks have the tree's default priority; absent: never.
  std::optional<std::chrono::nanoseconds> duration;
};

/// What a match may end at.
enum class PrefixMatching {
  Blocks,       ///< Anywhere: in the middle of a block too.
  WholePrefixes ///< Only where an insertion ended.
};

struct PrefixTreeOptions {
  /// Most blocks in memory; absent: as many as the pool has.
  std::optional<int64_t> maxBlocks;
  /// Most prefixes, which are paths to a block without another behind it; absent: any number.
  std::optional<int64_t> maxPrefixes;
  uint8_t defaultPriority = 50;
  PrefixMatching matching = PrefixMatching::Blocks;
  /// Where evicted blocks go; null: nowhere. Its pages are as large as the cache's blocks.
  std::unique_ptr<BlockStore> store;
  PrefixTreeListener *listener = nullptr; ///< Outlives the tree.
  /// The time that durations are measured with; empty: the steady clock.
  std::function<std::chrono::nanoseconds()> clock;
};

/// The longest prefix of a prompt that is there.
struct PrefixMatch {
  /// For PagedKVCache::attach(); valid until the tree or the cache is used otherwise.
  std::span<const BlockId> blocks;
  /// Tokens; less than the prompt has, since its last token must be computed. Ends inside the last
  /// block when a block shares only its first tokens with the prompt.
  int64_t length = 0;
};

/// Counts; those of the present first, then those since the tree was made.
struct PrefixTreeStatistics {
  int64_t memoryBlocks = 0;
  int64_t pinnedBlocks = 0;
  int64_t evictionCandidates = 0; ///< Blocks in the queue: nothing in memory is behind them.
  int64_t storedPages = 0;
  int64_t prefixes = 0;

  int64_t matches = 0;
  int64_t tokensAsked = 0;
  int64_t tokensMatched = 0;
  int64_t blocksInserted = 0;
  int64_t blocksEvicted = 0; ///< Of those, the ones written to the store are pages below.
  int64_t pagesWritten = 0;
  int64_t pagesRead = 0;
  int64_t storeFailures = 0;
};

/// A block of the tree, for pictures and checkpoints.
struct PrefixBlockView {
  PrefixKey key;
  PrefixKey parent;
  int64_t depth = 0; ///< 0: the first block of a prefix, whose parent is a namespace.
  std::span<const int32_t> tokens;
  std::optional<BlockId> block; ///< Absent when it is in the store only.
  std::optional<int64_t> page;
  uint8_t priority = 0;
  int64_t pins = 0;
  uint64_t lastUse = 0; ///< Number of the call that used it last.
};

/// The prefix cache of one PagedKVCache, which must outlive it. Give it to the cache as its
/// reclaimer.
class PrefixTree : public BlockReclaimer {
public:
  /// A constructor that fails (a status of the cache, a store of other pages, bounds that are not
  /// positive) leaves status(), which every later call returns; a match is empty then.
  explicit PrefixTree(PagedKVCache &cache, PrefixTreeOptions options = {});
  /// Gives every block back.
  ~PrefixTree() override;
  PrefixTree(const PrefixTree &) = delete;
  PrefixTree &operator=(const PrefixTree &) = delete;

  const Status &status() const;
  PagedKVCache &cache() const;
  /// Ok, or why the store failed last. The blocks concerned are forgotten and computed again.
  const Status &storeStatus() const;

  /// The longest prefix of `tokens`. Blocks in the store are read back, for which others may be
  /// evicted. The match counts as a use of its blocks. Nothing is allocated.
  PrefixMatch match(std::span<const int32_t> tokens, const PrefixNamespace &nameSpace = {});
  /// The same with keys that are known: `keys` are those of the full blocks of `tokens`.
  PrefixMatch match(const PrefixKeyChain &keys, std::span<const int32_t> tokens);

  /// Remembers the full blocks of `tokens`, whose keys and values lie in `blocks` in order; what is
  /// there already stays where it is. Returns how many blocks are new: fewer than asked for when
  /// maxBlocks is reached and nothing can be evicted. FailedPrecondition for a stale or free block,
  /// InvalidArgument for keys of another block size; nothing is changed then.
  StatusOr<int64_t> insert(const PrefixKeyChain &keys, std::span<const int32_t> tokens,
                           std::span<const BlockId> blocks,
                           std::span<const PrefixRetention> retention = {});
  StatusOr<int64_t> insert(std::span<const int32_t> tokens, std::span<const BlockId> blocks,
                           const PrefixNamespace &nameSpace = {},
                           std::span<const PrefixRetention> retention = {});

  /// Keeps the blocks of `keys` in memory, those that are there and those that are inserted later,
  /// until as many calls of unpin(). Blocks in the store are read back; ResourceExhausted when
  /// there is no room for them, and nothing is pinned then.
  Status pin(const PrefixKeyChain &keys);
  /// FailedPrecondition when the blocks of `keys` are not all pinned.
  Status unpin(const PrefixKeyChain &keys);

  /// Gives up to `blocks` blocks back to the pool and returns how many: never one that is pinned,
  /// that a sequence uses, or that has another in memory behind it. Writes them to the store.
  int64_t evict(int64_t blocks);
  int64_t reclaim(int64_t blocks) override { return evict(blocks); }
  /// Forgets a block that nothing in memory is behind and that is not pinned, after writing it to
  /// the store.
  bool giveUp(BlockId block) override;
  /// How many blocks evict() could give back at most. Linear in the number of blocks.
  int64_t countEvictable() const;
  /// Forgets everything that is not pinned, in both tiers; blocks in use stay their sequences'.
  void clear();

  const PrefixTreeStatistics &statistics() const;
  /// Calls `visitor` for each block, parents before children, siblings in the order of their
  /// tokens.
  void visit(const std::function<void(const PrefixBlockView &)> &visitor) const;
  /// Appends the blocks that the tree owns, for PagedKVCache::checkInvariants.
  void appendHeldBlocks(std::vector<BlockId> &held) const;
  /// Ok when keys, counts, queues and owners agree; otherwise Internal with what does not. For
  /// tests: linear in the size of the tree.
  Status checkInvariants() const;

private:
  class State;
  std::unique_ptr<State> state_;
};

} // namespace llmir

#endif // LLMIR_CACHE_PREFIXTREE_H
