// PrefixTree: a walk over its blocks, and the check that everything in it agrees.

#include "PrefixTreeState.h"

#include <algorithm>
#include <string>

namespace llmir {

void PrefixTree::State::visit(const std::function<void(const PrefixBlockView &)> &visitor) const {
  struct Step {
    NodeIndex node;
    int64_t depth;
  };
  std::vector<Step> waiting;
  std::vector<NodeIndex> children;
  auto push = [&](NodeIndex parent, int64_t depth) {
    children.clear();
    nodes.appendChildren(parent, children);
    for (size_t i = children.size(); i > 0; --i)
      waiting.push_back({children[i - 1], depth});
  };
  for (NodeIndex root = 0; root < nodes.end(); ++root) {
    if (nodes[root].kind != NodeKind::Root)
      continue;
    push(root, 0);
    while (!waiting.empty()) {
      auto [node, depth] = waiting.back();
      waiting.pop_back();
      const PrefixNode &it = nodes[node];
      PrefixBlockView view{it.key, nodes[it.parent].key, depth,   nodes.tokens(node), {},
                           {},     it.priority,          it.pins, it.lastUse};
      if (it.isInMemory())
        view.block = it.block;
      if (int32_t page = nodes.links(node).page; page >= 0)
        view.page = page;
      visitor(view);
      push(node, depth + 1);
    }
  }
}

Status PrefixTree::State::checkNode(NodeIndex node) const {
  const PrefixNode &it = nodes[node];
  std::string name = "prefix node " + std::to_string(node);
  bool queued = memoryQueue.contains(node);
  if (queued != mayLeaveMemory(node))
    return internalError(name + (queued ? " is in the queue of what may leave memory, but may not"
                                        : " may leave memory, but is not in the queue"));
  if (queued && memoryQueue.key(node) != MemoryRank{it.priority, it.lastUse})
    return internalError(name + " has another place in the queue than its last use says");
  if (options.store && pageQueue.contains(node) != mayLosePage(node))
    return internalError(name + " and the queue of pages disagree");
  if (pageQueue.contains(node) && pageQueue.key(node) != PageRank{!it.isInMemory(), it.lastUse})
    return internalError(name + " has another place in the queue of pages than its last use says");
  if (!it.isInMemory() && nodes.links(node).page < 0)
    return internalError(name + " is neither in memory nor in the store");
  if (it.isInMemory() && !cache.pool().isLive(it.block))
    return internalError(name + " names block " + std::to_string(it.block.index) +
                         ", which is free or another's");
  if (!it.isInMemory() && it.pins > 0)
    return internalError(name + " is pinned, but not in memory");
  const PrefixNode &parent = nodes[it.parent];
  if (it.isInMemory() && parent.kind == NodeKind::Block && !parent.isInMemory())
    return internalError(name + " is an orphan: the block before it is not in memory");
  auto pins = pinned_.find(it.key);
  if (it.pins != (pins == pinned_.end() ? 0 : pins->second))
    return internalError(name + " counts " + std::to_string(it.pins) +
                         " pins, which is not how often its key is pinned");
  return Status::ok();
}

Status PrefixTree::State::checkCounts() const {
  PrefixTreeStatistics counted;
  std::vector<int32_t> pages(freePages_);
  std::vector<uint32_t> memoryChildren(nodes.end(), 0);
  for (NodeIndex node = 0; node < nodes.end(); ++node) {
    const PrefixNode &it = nodes[node];
    if (it.kind != NodeKind::Block)
      continue;
    counted.memoryBlocks += it.isInMemory() ? 1 : 0;
    counted.pinnedBlocks += it.pins > 0 ? 1 : 0;
    counted.prefixes += nodes.links(node).numChildren == 0 ? 1 : 0;
    memoryChildren[it.parent] += it.isInMemory() ? 1 : 0;
    if (int32_t page = nodes.links(node).page; page >= 0) {
      ++counted.storedPages;
      pages.push_back(page);
    }
  }
  for (NodeIndex node = 0; node < nodes.end(); ++node)
    if (nodes[node].kind != NodeKind::Free && nodes[node].numMemoryChildren != memoryChildren[node])
      return internalError("prefix node " + std::to_string(node) + " counts " +
                           std::to_string(nodes[node].numMemoryChildren) +
                           " children in memory, but has " + std::to_string(memoryChildren[node]));
  if (counted.memoryBlocks != statistics.memoryBlocks ||
      counted.pinnedBlocks != statistics.pinnedBlocks || counted.prefixes != statistics.prefixes ||
      counted.storedPages != statistics.storedPages)
    return internalError(
        "the prefix tree counts " + std::to_string(statistics.memoryBlocks) + " blocks, " +
        std::to_string(statistics.pinnedBlocks) + " pinned, " +
        std::to_string(statistics.prefixes) + " prefixes and " +
        std::to_string(statistics.storedPages) + " pages, but has " +
        std::to_string(counted.memoryBlocks) + ", " + std::to_string(counted.pinnedBlocks) + ", " +
        std::to_string(counted.prefixes) + " and " + std::to_string(counted.storedPages));
  std::ranges::sort(pages);
  int64_t numPages = options.store ? options.store->numPages() : 0;
  if (static_cast<int64_t>(pages.size()) != numPages ||
      std::ranges::adjacent_find(pages) != pages.end())
    return internalError("expected each of " + std::to_string(numPages) +
                         " pages to be free or one block's, but got " +
                         std::to_string(pages.size()) + " free and used ones");
  return Status::ok();
}

Status PrefixTree::State::checkInvariants() const {
  LLMIR_RETURN_IF_ERROR(status);
  LLMIR_RETURN_IF_ERROR(nodes.checkInvariants());
  if (!memoryQueue.isConsistent() || !pageQueue.isConsistent() || !expiryQueue.isConsistent())
    return internalError("a queue of the prefix tree is out of order");
  for (NodeIndex node = 0; node < nodes.end(); ++node) {
    if (nodes[node].kind == NodeKind::Block)
      LLMIR_RETURN_IF_ERROR(checkNode(node));
    else if (memoryQueue.contains(node) || pageQueue.contains(node) || expiryQueue.contains(node))
      return internalError("a queue of the prefix tree has node " + std::to_string(node) +
                           ", which is no block");
    if (nodes[node].kind == NodeKind::Root && nodes.links(node).numChildren == 0)
      return internalError("prefix node " + std::to_string(node) + " is a namespace of nothing");
  }
  return checkCounts();
}

} // namespace llmir
