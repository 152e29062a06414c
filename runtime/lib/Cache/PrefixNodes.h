// PrefixNodes: the nodes of a prefix tree in arrays: found by key through a hash table, and the
// children of a node in the order of their tokens. Private to the cache; it knows nothing of what
// may be evicted.

#ifndef LLMIR_LIB_CACHE_PREFIXNODES_H
#define LLMIR_LIB_CACHE_PREFIXNODES_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/BlockPool.h"
#include "llmir/Cache/PrefixKey.h"

#include <cstdint>
#include <span>
#include <vector>

namespace llmir {

using NodeIndex = uint32_t;
inline constexpr NodeIndex noNode = ~NodeIndex(0);

enum class NodeKind : uint8_t {
  Free,
  Root, ///< A namespace; has no block.
  Block
};

/// What a match reads and writes of a node: one cache line.
struct alignas(64) PrefixNode {
  PrefixKey key;
  BlockId block; ///< Index -1 when the block is not in memory.
  uint64_t lastUse = 0;
  NodeIndex parent = noNode;
  uint32_t pins = 0;
  uint32_t numMemoryChildren = 0;
  uint8_t priority = 0;
  NodeKind kind = NodeKind::Free;
  bool endsPrefix = false; ///< Whether an insertion ended here.

  bool isInMemory() const { return block.index >= 0; }
};
static_assert(sizeof(PrefixNode) == 64);

/// The rest of a node. Children are a treap ordered by tokens, whose ranks are bits of their keys;
/// a single child, the usual case, is its root.
struct PrefixNodeLinks {
  NodeIndex children = noNode;
  NodeIndex smaller = noNode; ///< Among the siblings.
  NodeIndex larger = noNode;
  uint32_t numChildren = 0;
  int32_t page = -1; ///< Of the store; -1: none.
};

class PrefixNodes {
public:
  /// Room for `expected` nodes; more make it grow.
  PrefixNodes(int64_t blockSize, size_t expected);

  PrefixNode &operator[](NodeIndex node) { return nodes_[node]; }
  const PrefixNode &operator[](NodeIndex node) const { return nodes_[node]; }
  PrefixNodeLinks &links(NodeIndex node) { return links_[node]; }
  const PrefixNodeLinks &links(NodeIndex node) const { return links_[node]; }
  /// The tokens of a block, [block size].
  std::span<const int32_t> tokens(NodeIndex node) const {
    return {tokens_.data() + node * blockSize_, blockSize_};
  }

  /// Nodes there are, namespaces included.
  size_t size() const { return numNodes_; }
  /// One more than the largest index in use.
  NodeIndex end() const { return static_cast<NodeIndex>(nodes_.size()); }

  /// The node of that key, or noNode.
  NodeIndex find(const PrefixKey &key) const;
  /// Starts loading what find() reads first, and, when that has come, what it reads next.
  void prefetchSlot(const PrefixKey &key) const;
  void prefetchNode(const PrefixKey &key) const;

  /// A node without parent. The key must be new, here and below.
  NodeIndex addRoot(const PrefixKey &key);
  NodeIndex addChild(NodeIndex parent, const PrefixKey &key, std::span<const int32_t> tokens);
  /// Removes a node that has no children.
  void remove(NodeIndex node);

  /// A child of `parent` and how many tokens it begins with that `tokens` begins with.
  struct CommonPrefix {
    NodeIndex node = noNode;
    int64_t length = 0;
  };
  /// The child in memory that shares most tokens, of those that a search meets; that is the one
  /// that shares most of all when all children are in memory.
  CommonPrefix findCommonPrefix(NodeIndex parent, std::span<const int32_t> tokens) const;

  /// Appends the children of a node in the order of their tokens.
  void appendChildren(NodeIndex parent, std::vector<NodeIndex> &children) const;

  /// Whether keys lead to nodes and children are in order; Internal with what is not. For tests.
  Status checkInvariants() const;

private:
  NodeIndex take(NodeKind kind, const PrefixKey &key);
  bool comesBefore(NodeIndex left, NodeIndex right) const;
  uint64_t rank(NodeIndex node) const { return nodes_[node].key.words[2]; }
  void link(NodeIndex node);
  void unlink(NodeIndex node);
  void enterSlot(NodeIndex node);
  void leaveSlot(NodeIndex node);
  void placeSlot(uint64_t slot);
  void growSlots();

  size_t blockSize_;
  size_t numNodes_ = 0;
  std::vector<PrefixNode> nodes_;
  std::vector<PrefixNodeLinks> links_;
  std::vector<int32_t> tokens_;
  NodeIndex firstFree_ = noNode; ///< Free nodes are linked by their parent.
  /// Open addressing with linear probing: 32 bits of the key, which also say where the search
  /// starts, and the node + 1; 0 is empty. At most half full.
  std::vector<uint64_t> slots_;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_PREFIXNODES_H
