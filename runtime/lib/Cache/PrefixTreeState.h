// PrefixTree::State: the tree's nodes, the queues of what may leave memory and the store, and the
// steps that change them together. Private to the cache.

#ifndef LLMIR_LIB_CACHE_PREFIXTREESTATE_H
#define LLMIR_LIB_CACHE_PREFIXTREESTATE_H

#include "IndexedHeap.h"
#include "PrefixNodes.h"

#include "llmir/Cache/PrefixTree.h"

#include <array>
#include <compare>
#include <unordered_map>

namespace llmir {

class PrefixTree::State {
public:
  /// Keys looked up together, so that their loads from memory overlap.
  static constexpr size_t groupSize = 32;

  State(PagedKVCache &cache, PrefixTreeOptions options);
  ~State();
  State(const State &) = delete;
  State &operator=(const State &) = delete;

  // PrefixTree.cpp
  template <typename KeysOf>
  PrefixMatch match(const PrefixKey &root, std::span<const int32_t> tokens, size_t numKeys,
                    KeysOf keysOf);
  int64_t insert(const PrefixKeyChain &keys, std::span<const int32_t> tokens,
                 std::span<const BlockId> blocks, std::span<const PrefixRetention> retention);
  Status checkInsertion(const PrefixKeyChain &keys, std::span<const BlockId> blocks) const;
  Status pin(const PrefixKeyChain &keys);
  Status unpin(const PrefixKeyChain &keys);

  // PrefixTreeEviction.cpp
  int64_t evict(int64_t blocks);
  bool giveUp(BlockId block);
  int64_t countEvictable() const;
  void limitPrefixes();
  void clear();

  // PrefixTreeCheck.cpp
  void visit(const std::function<void(const PrefixBlockView &)> &visitor) const;
  Status checkInvariants() const;

  Status status;
  Status storeStatus;
  PagedKVCache &cache;
  PrefixTreeOptions options;
  PrefixTreeStatistics statistics;
  PrefixNodes nodes;
  struct MemoryRank {
    uint8_t priority;
    uint64_t lastUse;
    friend auto operator<=>(const MemoryRank &, const MemoryRank &) = default;
  };
  struct PageRank {
    bool isOnlyCopy;
    uint64_t lastUse;
    friend auto operator<=>(const PageRank &, const PageRank &) = default;
  };
  IndexedHeap<MemoryRank> memoryQueue; ///< Blocks that may leave memory, but for those in use.
  IndexedHeap<PageRank> pageQueue;     ///< Nodes whose page may be given up.
  IndexedHeap<std::chrono::nanoseconds> expiryQueue; ///< When priorities end.

  PrefixKeyChain scratchKeys{PrefixKey(), 1}; ///< Of an insertion without known keys.

private:
  /// Keeps two nodes where they are while something else is evicted.
  class Protection {
  public:
    Protection(State &state, NodeIndex first, NodeIndex second);
    ~Protection();
    Protection(const Protection &) = delete;
    Protection &operator=(const Protection &) = delete;

  private:
    State &state_;
  };

  size_t blockSize() const { return static_cast<size_t>(cache.layout().block_size); }
  bool isProtected(NodeIndex node) const {
    return node == protectedNodes_[0] || node == protectedNodes_[1];
  }
  Status checkOptions() const;
  void prefetch(std::span<const PrefixKey> keys) const;
  void use(NodeIndex node) {
    nodes[node].lastUse = useCount_;
    if (!pageQueue.empty() && pageQueue.contains(node))
      requeue(node);
  }
  PrefixMatch finishMatch(NodeIndex last, std::span<const int32_t> tokens);
  NodeIndex store(NodeIndex parent, const PrefixKey &key, std::span<const int32_t> tokens,
                  BlockId block);
  void retain(NodeIndex node, int64_t firstToken, std::span<const PrefixRetention> retention);
  bool hasRoom(NodeIndex parent);
  Status loadPath(const PrefixKeyChain &keys);

  bool mayLeaveMemory(NodeIndex node) const;
  bool mayLosePage(NodeIndex node) const;
  void requeue(NodeIndex node);
  void expirePriorities();
  void enterMemory(NodeIndex node, BlockId block);
  void leaveMemory(NodeIndex node);
  void evictLeaf(NodeIndex leaf);
  enum class LoadResult { Loaded, NoRoom, Lost };
  LoadResult load(NodeIndex node);
  StatusOr<BlockId> obtainBlock(NodeIndex node);
  bool writePage(NodeIndex node);
  bool obtainPage();
  void dropPage(NodeIndex node);
  void removeNode(NodeIndex node);
  void removeSubtree(NodeIndex node);
  bool dropOldestPrefix();
  bool isInUse(NodeIndex node) const;

  using Event = void (PrefixTreeListener::*)(const PrefixBlockEvent &);
  void report(Event event, NodeIndex node, PrefixTier tier);

  Status checkNode(NodeIndex node) const;
  Status checkCounts() const;

  uint64_t useCount_ = 0;
  std::array<NodeIndex, 2> protectedNodes_{noNode, noNode};
  std::unordered_map<PrefixKey, uint32_t, PrefixKeyHash> pinned_;
  std::vector<int32_t> freePages_;
  std::vector<BlockId> matchBlocks_;
  std::vector<NodeIndex> inUse_; ///< Candidates that an eviction found to be in use.
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_PREFIXTREESTATE_H
