// The hash table and the ordered children of prefix nodes. Treaps: Seidel and Aragon, "Randomized
// search trees", Algorithmica 16 (1996).

#include "PrefixNodes.h"

#include <algorithm>
#include <bit>
#include <cassert>
#include <string>

namespace llmir {

static uint32_t tagOf(const PrefixKey &key) { return static_cast<uint32_t>(key.words[0]); }

PrefixNodes::PrefixNodes(int64_t blockSize, size_t expected)
    : blockSize_(static_cast<size_t>(blockSize)),
      slots_(std::bit_ceil(std::max<size_t>(2 * expected, 16))) {
  nodes_.reserve(expected);
  links_.reserve(expected);
  tokens_.reserve(expected * blockSize_);
}

NodeIndex PrefixNodes::find(const PrefixKey &key) const {
  size_t mask = slots_.size() - 1;
  for (size_t i = tagOf(key) & mask;; i = (i + 1) & mask) {
    uint64_t slot = slots_[i];
    if (slot == 0)
      return noNode;
    auto node = static_cast<NodeIndex>(slot) - 1;
    if (slot >> 32 == tagOf(key) && nodes_[node].key == key)
      return node;
  }
}

void PrefixNodes::prefetchSlot(const PrefixKey &key) const {
  __builtin_prefetch(&slots_[tagOf(key) & (slots_.size() - 1)]);
}

void PrefixNodes::prefetchNode(const PrefixKey &key) const {
  size_t mask = slots_.size() - 1;
  size_t i = tagOf(key) & mask;
  while (slots_[i] != 0 && slots_[i] >> 32 != tagOf(key))
    i = (i + 1) & mask;
  if (slots_[i] != 0)
    __builtin_prefetch(&nodes_[static_cast<NodeIndex>(slots_[i]) - 1], 1);
}

NodeIndex PrefixNodes::take(NodeKind kind, const PrefixKey &key) {
  NodeIndex node = firstFree_;
  if (node != noNode) {
    firstFree_ = nodes_[node].parent;
    nodes_[node] = PrefixNode();
    links_[node] = PrefixNodeLinks();
  } else {
    node = end();
    nodes_.emplace_back();
    links_.emplace_back();
    tokens_.resize(tokens_.size() + blockSize_);
  }
  nodes_[node].kind = kind;
  nodes_[node].key = key;
  ++numNodes_;
  enterSlot(node);
  return node;
}

NodeIndex PrefixNodes::addRoot(const PrefixKey &key) { return take(NodeKind::Root, key); }

NodeIndex PrefixNodes::addChild(NodeIndex parent, const PrefixKey &key,
                                std::span<const int32_t> tokens) {
  assert(tokens.size() == blockSize_);
  NodeIndex node = take(NodeKind::Block, key);
  nodes_[node].parent = parent;
  std::copy(tokens.begin(), tokens.end(),
            tokens_.begin() + static_cast<std::ptrdiff_t>(node * blockSize_));
  link(node);
  return node;
}

void PrefixNodes::remove(NodeIndex node) {
  assert(links_[node].numChildren == 0 && "a node with children would leave orphans");
  if (nodes_[node].kind == NodeKind::Block)
    unlink(node);
  leaveSlot(node);
  nodes_[node].kind = NodeKind::Free;
  nodes_[node].parent = firstFree_;
  firstFree_ = node;
  --numNodes_;
}

bool PrefixNodes::comesBefore(NodeIndex left, NodeIndex right) const {
  return std::ranges::lexicographical_compare(tokens(left), tokens(right));
}

void PrefixNodes::link(NodeIndex node) {
  PrefixNodeLinks &parent = links_[nodes_[node].parent];
  ++parent.numChildren;
  NodeIndex *place = &parent.children;
  while (*place != noNode && rank(*place) >= rank(node))
    place = comesBefore(node, *place) ? &links_[*place].smaller : &links_[*place].larger;
  // What was there is split into those before and those after the new one.
  NodeIndex rest = *place;
  NodeIndex *smaller = &links_[node].smaller, *larger = &links_[node].larger;
  *place = node;
  while (rest != noNode) {
    if (comesBefore(rest, node)) {
      *smaller = rest;
      smaller = &links_[rest].larger;
      rest = *smaller;
    } else {
      *larger = rest;
      larger = &links_[rest].smaller;
      rest = *larger;
    }
  }
  *smaller = *larger = noNode;
}

void PrefixNodes::unlink(NodeIndex node) {
  PrefixNodeLinks &parent = links_[nodes_[node].parent];
  --parent.numChildren;
  NodeIndex *place = &parent.children;
  while (*place != node)
    place = comesBefore(node, *place) ? &links_[*place].smaller : &links_[*place].larger;
  NodeIndex smaller = links_[node].smaller, larger = links_[node].larger;
  while (smaller != noNode && larger != noNode) {
    if (rank(smaller) >= rank(larger)) {
      *place = smaller;
      place = &links_[smaller].larger;
      smaller = *place;
    } else {
      *place = larger;
      place = &links_[larger].smaller;
      larger = *place;
    }
  }
  *place = smaller != noNode ? smaller : larger;
}

PrefixNodes::CommonPrefix PrefixNodes::findCommonPrefix(NodeIndex parent,
                                                        std::span<const int32_t> wanted) const {
  CommonPrefix best;
  for (NodeIndex node = links_[parent].children; node != noNode;) {
    std::span<const int32_t> found = tokens(node);
    auto [differs, other] = std::ranges::mismatch(wanted, found);
    int64_t length = differs - wanted.begin();
    if (length > best.length && nodes_[node].isInMemory())
      best = {node, length};
    bool goesSmaller = differs == wanted.end() || (other != found.end() && *differs < *other);
    node = goesSmaller ? links_[node].smaller : links_[node].larger;
  }
  return best;
}

void PrefixNodes::appendChildren(NodeIndex parent, std::vector<NodeIndex> &children) const {
  std::vector<NodeIndex> path;
  NodeIndex node = links_[parent].children;
  while (node != noNode || !path.empty()) {
    for (; node != noNode; node = links_[node].smaller)
      path.push_back(node);
    node = path.back();
    path.pop_back();
    children.push_back(node);
    node = links_[node].larger;
  }
}

void PrefixNodes::placeSlot(uint64_t slot) {
  size_t mask = slots_.size() - 1;
  size_t i = (slot >> 32) & mask;
  while (slots_[i] != 0)
    i = (i + 1) & mask;
  slots_[i] = slot;
}

void PrefixNodes::enterSlot(NodeIndex node) {
  if (2 * numNodes_ > slots_.size())
    growSlots();
  placeSlot((uint64_t(tagOf(nodes_[node].key)) << 32) | (uint64_t(node) + 1));
}

void PrefixNodes::growSlots() {
  std::vector<uint64_t> old(2 * slots_.size());
  old.swap(slots_);
  for (uint64_t slot : old)
    if (slot != 0)
      placeSlot(slot);
}

void PrefixNodes::leaveSlot(NodeIndex node) {
  size_t mask = slots_.size() - 1;
  size_t hole = tagOf(nodes_[node].key) & mask;
  while (static_cast<uint32_t>(slots_[hole]) != node + 1)
    hole = (hole + 1) & mask;
  // Entries after the hole move into it unless their search starts behind it (Knuth, volume 3,
  // 6.4, algorithm R).
  for (size_t i = (hole + 1) & mask; slots_[i] != 0; i = (i + 1) & mask) {
    size_t home = (slots_[i] >> 32) & mask;
    if (((i - home) & mask) >= ((i - hole) & mask)) {
      slots_[hole] = slots_[i];
      hole = i;
    }
  }
  slots_[hole] = 0;
}

Status PrefixNodes::checkInvariants() const {
  size_t counted = 0, inSlots = 0, asChildren = 0, blocks = 0;
  std::vector<NodeIndex> children;
  for (NodeIndex node = 0; node < end(); ++node) {
    const PrefixNode &it = nodes_[node];
    if (it.kind == NodeKind::Free)
      continue;
    ++counted;
    blocks += it.kind == NodeKind::Block ? 1 : 0;
    if (find(it.key) != node)
      return internalError("the key of prefix node " + std::to_string(node) +
                           " does not lead to it");
    if (it.kind == NodeKind::Block && it.key != childKey(nodes_[it.parent].key, tokens(node)))
      return internalError("the key of prefix node " + std::to_string(node) +
                           " is not that of its parent and tokens");
    children.clear();
    appendChildren(node, children);
    asChildren += children.size();
    if (children.size() != links_[node].numChildren)
      return internalError("prefix node " + std::to_string(node) + " counts " +
                           std::to_string(links_[node].numChildren) + " children, but has " +
                           std::to_string(children.size()));
    for (size_t i = 0; i < children.size(); ++i)
      if (nodes_[children[i]].kind != NodeKind::Block || nodes_[children[i]].parent != node ||
          (i > 0 && !comesBefore(children[i - 1], children[i])))
        return internalError("child " + std::to_string(i) + " of prefix node " +
                             std::to_string(node) + " is not its child or out of order");
  }
  for (uint64_t slot : slots_)
    inSlots += slot != 0 ? 1 : 0;
  if (counted != numNodes_ || inSlots != numNodes_ || asChildren != blocks)
    return internalError("expected " + std::to_string(numNodes_) + " prefix nodes, but got " +
                         std::to_string(counted) + " in use, " + std::to_string(inSlots) +
                         " in the table; " + std::to_string(asChildren) + " of " +
                         std::to_string(blocks) + " blocks are children");
  return Status::ok();
}

} // namespace llmir
