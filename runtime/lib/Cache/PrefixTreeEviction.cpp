// PrefixTree: how blocks leave memory, come back from the store, and leave the tree.

#include "PrefixTreeState.h"

#include <algorithm>
#include <utility>

namespace llmir {

PrefixTree::State::Protection::Protection(State &state, NodeIndex first, NodeIndex second)
    : state_(state) {
  state_.protectedNodes_ = {first, second};
  for (NodeIndex node : {first, second})
    state_.requeue(node);
}

PrefixTree::State::Protection::~Protection() {
  std::array<NodeIndex, 2> nodes = state_.protectedNodes_;
  state_.protectedNodes_ = {noNode, noNode};
  for (NodeIndex node : nodes)
    state_.requeue(node);
}

bool PrefixTree::State::mayLeaveMemory(NodeIndex node) const {
  const PrefixNode &it = nodes[node];
  return it.kind == NodeKind::Block && it.isInMemory() && it.pins == 0 &&
         it.numMemoryChildren == 0 && !isProtected(node);
}

bool PrefixTree::State::mayLosePage(NodeIndex node) const {
  // The only copy of a block stays while blocks behind it need it.
  return nodes[node].kind == NodeKind::Block && nodes.links(node).page >= 0 && !isProtected(node) &&
         (nodes[node].isInMemory() || nodes.links(node).numChildren == 0);
}

void PrefixTree::State::requeue(NodeIndex node) {
  if (node == noNode || nodes[node].kind != NodeKind::Block)
    return;
  if (mayLeaveMemory(node))
    memoryQueue.set(node, {nodes[node].priority, nodes[node].lastUse});
  else
    memoryQueue.erase(node);
  if (!options.store)
    return;
  if (mayLosePage(node))
    pageQueue.set(node, {!nodes[node].isInMemory(), nodes[node].lastUse});
  else
    pageQueue.erase(node);
}

void PrefixTree::State::report(Event event, NodeIndex node, PrefixTier tier) {
  if (options.listener)
    (options.listener->*event)(
        {nodes[node].key, nodes[nodes[node].parent].key, nodes.tokens(node), tier});
}

bool PrefixTree::State::isInUse(NodeIndex node) const {
  return cache.pool().useCount(nodes[node].block.index) > 1;
}

void PrefixTree::State::expirePriorities() {
  if (expiryQueue.empty())
    return;
  std::chrono::nanoseconds now = options.clock();
  while (!expiryQueue.empty() && expiryQueue.top().key <= now) {
    NodeIndex node = expiryQueue.top().item;
    expiryQueue.erase(node);
    nodes[node].priority = options.defaultPriority;
    requeue(node);
  }
}

void PrefixTree::State::enterMemory(NodeIndex node, BlockId block) {
  nodes[node].block = block;
  ++statistics.memoryBlocks;
  NodeIndex parent = nodes[node].parent;
  if (nodes[parent].numMemoryChildren++ == 0)
    requeue(parent);
  report(&PrefixTreeListener::onStored, node, PrefixTier::Memory);
}

void PrefixTree::State::leaveMemory(NodeIndex node) {
  report(&PrefixTreeListener::onRemoved, node, PrefixTier::Memory);
  if (Status released = cache.releaseBlock(nodes[node].block); !released)
    status = released.withContext("prefix tree");
  nodes[node].block = BlockId();
  --statistics.memoryBlocks;
  requeue(node);
  NodeIndex parent = nodes[node].parent;
  if (--nodes[parent].numMemoryChildren == 0)
    requeue(parent);
}

void PrefixTree::State::dropPage(NodeIndex node) {
  int32_t page = std::exchange(nodes.links(node).page, -1);
  if (page < 0)
    return;
  freePages_.push_back(page);
  --statistics.storedPages;
  report(&PrefixTreeListener::onRemoved, node, PrefixTier::Disk);
  requeue(node);
}

void PrefixTree::State::removeNode(NodeIndex node) {
  if (nodes[node].isInMemory())
    leaveMemory(node);
  dropPage(node);
  expiryQueue.erase(node);
  NodeIndex parent = nodes[node].parent;
  nodes.remove(node);
  bool parentIsLast = nodes.links(parent).numChildren == 0;
  if (nodes[parent].kind == NodeKind::Block) {
    statistics.prefixes -= parentIsLast ? 0 : 1;
    requeue(parent);
    return;
  }
  --statistics.prefixes;
  if (parentIsLast && !isProtected(parent))
    nodes.remove(parent);
}

void PrefixTree::State::removeSubtree(NodeIndex node) {
  for (NodeIndex current = node;;) {
    if (nodes.links(current).numChildren > 0) {
      current = nodes.links(current).children;
      continue;
    }
    NodeIndex parent = nodes[current].parent;
    removeNode(current);
    if (current == node)
      return;
    current = parent;
  }
}

bool PrefixTree::State::obtainPage() {
  if (!freePages_.empty())
    return true;
  if (pageQueue.empty())
    return false;
  NodeIndex node = pageQueue.top().item;
  if (nodes[node].isInMemory())
    dropPage(node);
  else
    removeNode(node);
  return true;
}

bool PrefixTree::State::writePage(NodeIndex node) {
  if (!options.store)
    return false;
  if (nodes.links(node).page >= 0)
    return true; // a copy from the last time
  if (!obtainPage())
    return false;
  int32_t page = freePages_.back();
  StatusOr<std::span<uint8_t>> bytes = cache.blockBytes(nodes[node].block);
  Status written = bytes ? options.store->write(page, nodes[node].key, *bytes) : bytes.status();
  if (!written) {
    storeStatus = written;
    ++statistics.storeFailures;
    return false;
  }
  freePages_.pop_back();
  nodes.links(node).page = page;
  ++statistics.storedPages;
  ++statistics.pagesWritten;
  report(&PrefixTreeListener::onStored, node, PrefixTier::Disk);
  return true;
}

void PrefixTree::State::evictLeaf(NodeIndex leaf) {
  if (writePage(leaf))
    leaveMemory(leaf);
  else
    removeSubtree(leaf);
}

int64_t PrefixTree::State::evict(int64_t blocks) {
  expirePriorities();
  int64_t evicted = 0;
  while (evicted < blocks && !memoryQueue.empty()) {
    NodeIndex leaf = memoryQueue.top().item;
    if (isInUse(leaf)) {
      memoryQueue.erase(leaf);
      inUse_.push_back(leaf);
      continue;
    }
    evictLeaf(leaf);
    ++evicted;
  }
  for (NodeIndex leaf : inUse_)
    requeue(leaf);
  inUse_.clear();
  statistics.blocksEvicted += evicted;
  return evicted;
}

bool PrefixTree::State::giveUp(BlockId block) {
  // Linear in the number of paths; asked for only by a cache that would fail otherwise.
  for (const auto &entry : memoryQueue.entries())
    if (nodes[entry.item].block == block) {
      evictLeaf(NodeIndex(entry.item));
      return true;
    }
  return false;
}

StatusOr<BlockId> PrefixTree::State::obtainBlock(NodeIndex node) {
  Protection protection(*this, nodes[node].parent, node);
  if (options.maxBlocks && statistics.memoryBlocks >= *options.maxBlocks)
    evict(1);
  if (options.maxBlocks && statistics.memoryBlocks >= *options.maxBlocks)
    return resourceExhausted("the prefix tree holds " + std::to_string(statistics.memoryBlocks) +
                             " blocks, which is the most it may");
  if (cache.pool().numFree() == 0)
    evict(1);
  return cache.allocateBlock();
}

PrefixTree::State::LoadResult PrefixTree::State::load(NodeIndex node) {
  StatusOr<BlockId> block = obtainBlock(node);
  if (!block)
    return LoadResult::NoRoom;
  StatusOr<std::span<uint8_t>> bytes = cache.blockBytes(*block);
  Status read =
      bytes ? options.store->read(nodes.links(node).page, nodes[node].key, *bytes) : bytes.status();
  if (!read) {
    storeStatus = read;
    ++statistics.storeFailures;
    (void)cache.releaseBlock(*block);
    removeSubtree(node);
    return LoadResult::Lost;
  }
  ++statistics.pagesRead;
  enterMemory(node, *block);
  requeue(node);
  return LoadResult::Loaded;
}

int64_t PrefixTree::State::countEvictable() const {
  std::vector<bool> stays(nodes.end(), false);
  int64_t count = statistics.memoryBlocks;
  for (NodeIndex node = 0; node < nodes.end(); ++node) {
    const PrefixNode &it = nodes[node];
    if (it.kind != NodeKind::Block || !it.isInMemory() || (it.pins == 0 && !isInUse(node)))
      continue;
    for (NodeIndex current = node; nodes[current].kind == NodeKind::Block && !stays[current];
         current = nodes[current].parent) {
      stays[current] = true;
      --count;
    }
  }
  return count;
}

bool PrefixTree::State::dropOldestPrefix() {
  NodeIndex node = noNode;
  if (!pageQueue.empty() && pageQueue.top().key.isOnlyCopy)
    node = pageQueue.top().item;
  else if (!memoryQueue.empty())
    node = memoryQueue.top().item;
  if (node == noNode || (nodes[node].isInMemory() && isInUse(node)))
    return false;
  // The blocks that nobody else continues go with the last one.
  while (nodes[node].kind == NodeKind::Block && nodes[node].pins == 0 &&
         !(nodes[node].isInMemory() && isInUse(node))) {
    NodeIndex parent = nodes[node].parent;
    bool parentIsShared = nodes.links(parent).numChildren > 1;
    removeSubtree(node);
    if (parentIsShared)
      break;
    node = parent;
  }
  return true;
}

void PrefixTree::State::limitPrefixes() {
  if (!options.maxPrefixes)
    return;
  expirePriorities();
  while (statistics.prefixes > *options.maxPrefixes) {
    if (memoryQueue.empty() || !isInUse(memoryQueue.top().item)) {
      if (dropOldestPrefix())
        continue;
      break;
    }
    inUse_.push_back(memoryQueue.top().item);
    memoryQueue.erase(memoryQueue.top().item);
  }
  for (NodeIndex leaf : inUse_)
    requeue(leaf);
  inUse_.clear();
}

void PrefixTree::State::clear() {
  std::vector<NodeIndex> order;
  for (NodeIndex node = 0; node < nodes.end(); ++node)
    if (nodes[node].kind == NodeKind::Root)
      nodes.appendChildren(node, order);
  for (size_t i = 0; i < order.size(); ++i)
    nodes.appendChildren(order[i], order);
  for (; !order.empty(); order.pop_back())
    if (nodes[order.back()].pins == 0 && nodes.links(order.back()).numChildren == 0)
      removeNode(order.back());
}

} // namespace llmir
