// PrefixTree: matching, inserting and pinning. What leaves memory is in PrefixTreeEviction.cpp.

#include "llmir/Cache/PrefixTree.h"

#include "PrefixTreeState.h"

#include <algorithm>
#include <string>

namespace llmir {

namespace {

std::chrono::nanoseconds steadyNow() { return std::chrono::steady_clock::now().time_since_epoch(); }

/// Nodes to make room for: those that the tiers can hold.
size_t expectedNodes(const PagedKVCache &cache, const PrefixTreeOptions &options) {
  int64_t blocks = cache.pool().numBlocks();
  if (options.maxBlocks)
    blocks = std::clamp<int64_t>(*options.maxBlocks, 0, blocks);
  int64_t pages = options.store ? std::max<int64_t>(options.store->numPages(), 0) : 0;
  return static_cast<size_t>(blocks + pages + 1);
}

} // namespace

PrefixTree::State::State(PagedKVCache &cache, PrefixTreeOptions given)
    : cache(cache), options(std::move(given)),
      nodes(std::max(cache.layout().block_size, 1), expectedNodes(cache, options)) {
  status = checkOptions().withContext("prefix tree");
  if (!status)
    return;
  if (!options.clock)
    options.clock = steadyNow;
  size_t expected = expectedNodes(cache, options);
  memoryQueue.reserve(expected);
  matchBlocks_.reserve(
      static_cast<size_t>(blocksForTokens(cache.layout(), cache.layout().max_seq_len)));
  if (!options.store)
    return;
  pageQueue.reserve(expected);
  for (auto page = static_cast<int32_t>(options.store->numPages()); page > 0; --page)
    freePages_.push_back(page - 1);
}

PrefixTree::State::~State() {
  for (NodeIndex node = 0; node < nodes.end(); ++node)
    if (nodes[node].kind == NodeKind::Block && nodes[node].isInMemory())
      (void)cache.releaseBlock(nodes[node].block);
}

Status PrefixTree::State::checkOptions() const {
  LLMIR_RETURN_IF_ERROR(cache.status());
  for (std::optional<int64_t> most : {options.maxBlocks, options.maxPrefixes})
    if (most && *most < 1)
      return invalidArgument("expected at least 1 as the most blocks or prefixes, but got " +
                             std::to_string(*most));
  auto blockBytes = static_cast<size_t>(cache.layout().block_stride);
  if (options.store && options.store->pageSize() != blockBytes)
    return invalidArgument("expected a store of pages of " + std::to_string(blockBytes) +
                           " bytes, but got " + std::to_string(options.store->pageSize()));
  return Status::ok();
}

void PrefixTree::State::prefetch(std::span<const PrefixKey> keys) const {
  for (const PrefixKey &key : keys)
    nodes.prefetchSlot(key);
  for (const PrefixKey &key : keys)
    nodes.prefetchNode(key);
}

/// `keysOf(first, count)` are the keys of blocks first .. first + count - 1; asked for in order.
template <typename KeysOf>
PrefixMatch PrefixTree::State::match(const PrefixKey &root, std::span<const int32_t> tokens,
                                     size_t numKeys, KeysOf keysOf) {
  ++useCount_;
  ++statistics.matches;
  statistics.tokensAsked += static_cast<int64_t>(tokens.size());
  matchBlocks_.clear();
  NodeIndex node = nodes.find(root);
  if (node == noNode || tokens.empty())
    return {};
  size_t numEnded = 0;
  for (size_t first = 0; first < numKeys; first += groupSize) {
    std::span<const PrefixKey> keys = keysOf(first, std::min(groupSize, numKeys - first));
    prefetch(keys);
    size_t before = matchBlocks_.size();
    for (const PrefixKey &key : keys) {
      NodeIndex child = nodes.find(key);
      if (child == noNode || (!nodes[child].isInMemory() && load(child) != LoadResult::Loaded))
        break;
      node = child;
      use(node);
      matchBlocks_.push_back(nodes[node].block);
      if (nodes[node].endsPrefix)
        numEnded = matchBlocks_.size();
    }
    if (matchBlocks_.size() < before + keys.size())
      break;
  }
  if (options.matching == PrefixMatching::WholePrefixes)
    matchBlocks_.resize(numEnded);
  return finishMatch(node, tokens);
}

PrefixMatch PrefixTree::State::finishMatch(NodeIndex last, std::span<const int32_t> tokens) {
  requeue(last);
  size_t length = matchBlocks_.size() * blockSize();
  if (length == tokens.size()) {
    // The last token must be computed.
    --length;
    matchBlocks_.resize((length + blockSize() - 1) / blockSize());
  } else if (options.matching == PrefixMatching::Blocks) {
    std::span<const int32_t> rest = tokens.subspan(length);
    PrefixNodes::CommonPrefix common =
        nodes.findCommonPrefix(last, rest.first(std::min(blockSize(), rest.size() - 1)));
    if (common.length > 0) {
      use(common.node);
      requeue(common.node);
      matchBlocks_.push_back(nodes[common.node].block);
      length += static_cast<size_t>(common.length);
    }
  }
  statistics.tokensMatched += static_cast<int64_t>(length);
  return {matchBlocks_, static_cast<int64_t>(length)};
}

Status PrefixTree::State::checkInsertion(const PrefixKeyChain &keys,
                                         std::span<const BlockId> blocks) const {
  if (keys.blockSize() != cache.layout().block_size)
    return invalidArgument("expected keys of blocks of " +
                           std::to_string(cache.layout().block_size) + " tokens, but got " +
                           std::to_string(keys.blockSize()));
  for (BlockId block : blocks)
    if (!cache.pool().isLive(block))
      return failedPrecondition("cannot insert block " + std::to_string(block.index) +
                                " (generation " + std::to_string(block.generation) +
                                "): it is stale or free");
  return Status::ok();
}

void PrefixTree::State::retain(NodeIndex node, int64_t firstToken,
                               std::span<const PrefixRetention> retention) {
  auto endToken = firstToken + static_cast<int64_t>(blockSize());
  for (const PrefixRetention &range : retention) {
    if (range.firstToken >= endToken || (range.endToken && *range.endToken <= firstToken))
      continue;
    nodes[node].priority = range.priority;
    if (range.duration)
      expiryQueue.set(node, options.clock() + *range.duration);
    else
      expiryQueue.erase(node);
  }
}

bool PrefixTree::State::hasRoom(NodeIndex parent) {
  if (!options.maxBlocks || statistics.memoryBlocks < *options.maxBlocks)
    return true;
  Protection protection(*this, parent, noNode);
  return evict(1) == 1;
}

NodeIndex PrefixTree::State::store(NodeIndex parent, const PrefixKey &key,
                                   std::span<const int32_t> tokens, BlockId block) {
  NodeIndex node = nodes.find(key);
  if (node != noNode && nodes[node].isInMemory())
    return node;
  if (node == noNode) {
    bool parentWasLast =
        nodes[parent].kind == NodeKind::Block && nodes.links(parent).numChildren == 0;
    node = nodes.addChild(parent, key, tokens);
    nodes[node].priority = options.defaultPriority;
    statistics.prefixes += parentWasLast ? 0 : 1;
    if (auto found = pinned_.find(key); !pinned_.empty() && found != pinned_.end()) {
      nodes[node].pins = found->second;
      ++statistics.pinnedBlocks;
    }
  }
  // Cannot fail: checkInsertion() has looked, and its owners have not changed since.
  if (Status retained = cache.retainBlock(block); !retained)
    status = retained.withContext("prefix tree");
  ++statistics.blocksInserted;
  enterMemory(node, block);
  return node;
}

int64_t PrefixTree::State::insert(const PrefixKeyChain &keys, std::span<const int32_t> tokens,
                                  std::span<const BlockId> blocks,
                                  std::span<const PrefixRetention> retention) {
  ++useCount_;
  int64_t before = statistics.blocksInserted;
  NodeIndex node = nodes.find(keys.root());
  if (node == noNode)
    node = nodes.addRoot(keys.root());
  std::span<const PrefixKey> wanted = keys.blocks().first(blocks.size());
  size_t done = 0;
  for (; done < wanted.size(); ++done) {
    if (done % groupSize == 0)
      prefetch(wanted.subspan(done, std::min(groupSize, wanted.size() - done)));
    NodeIndex child = nodes.find(wanted[done]);
    if ((child == noNode || !nodes[child].isInMemory()) && !hasRoom(node))
      break;
    size_t firstToken = done * blockSize();
    child = store(node, wanted[done], tokens.subspan(firstToken, blockSize()), blocks[done]);
    retain(child, static_cast<int64_t>(firstToken), retention);
    use(child);
    node = child;
  }
  if (done == wanted.size())
    nodes[node].endsPrefix = true;
  requeue(node);
  if (nodes[node].kind == NodeKind::Root && nodes.links(node).numChildren == 0)
    nodes.remove(node);
  limitPrefixes();
  return statistics.blocksInserted - before;
}

Status PrefixTree::State::loadPath(const PrefixKeyChain &keys) {
  ++useCount_;
  for (const PrefixKey &key : keys.blocks()) {
    NodeIndex node = nodes.find(key);
    if (node == noNode)
      break;
    if (!nodes[node].isInMemory()) {
      LoadResult result = load(node);
      if (result == LoadResult::NoRoom)
        return resourceExhausted("no room in memory for the blocks to be pinned: " +
                                 std::to_string(cache.pool().numFree()) + " of " +
                                 std::to_string(cache.pool().numBlocks()) +
                                 " blocks are free and none can be evicted");
      if (result == LoadResult::Lost)
        break;
    }
    use(node);
    requeue(node);
  }
  return Status::ok();
}

Status PrefixTree::State::pin(const PrefixKeyChain &keys) {
  LLMIR_RETURN_IF_ERROR(checkInsertion(keys, {}));
  LLMIR_RETURN_IF_ERROR(loadPath(keys));
  for (const PrefixKey &key : keys.blocks()) {
    ++pinned_[key];
    if (NodeIndex node = nodes.find(key); node != noNode) {
      statistics.pinnedBlocks += nodes[node].pins++ == 0 ? 1 : 0;
      requeue(node);
    }
  }
  return Status::ok();
}

Status PrefixTree::State::unpin(const PrefixKeyChain &keys) {
  for (size_t i = 0; i < keys.blocks().size(); ++i)
    if (pinned_.count(keys.blocks()[i]) == 0)
      return failedPrecondition("cannot unpin block " + std::to_string(i) + " of " +
                                std::to_string(keys.blocks().size()) + ": it is not pinned");
  for (const PrefixKey &key : keys.blocks()) {
    auto found = pinned_.find(key);
    if (--found->second == 0)
      pinned_.erase(found);
    if (NodeIndex node = nodes.find(key); node != noNode) {
      statistics.pinnedBlocks -= --nodes[node].pins == 0 ? 1 : 0;
      requeue(node);
    }
  }
  return Status::ok();
}

PrefixTree::PrefixTree(PagedKVCache &cache, PrefixTreeOptions options)
    : state_(std::make_unique<State>(cache, std::move(options))) {}
PrefixTree::~PrefixTree() = default;

const Status &PrefixTree::status() const { return state_->status; }
PagedKVCache &PrefixTree::cache() const { return state_->cache; }
const Status &PrefixTree::storeStatus() const { return state_->storeStatus; }

PrefixMatch PrefixTree::match(std::span<const int32_t> tokens, const PrefixNamespace &nameSpace) {
  if (!state_->status)
    return {};
  auto blockSize = static_cast<size_t>(cache().layout().block_size);
  PrefixKey root = rootKey(nameSpace, cache().layout().block_size), last = root;
  std::array<PrefixKey, State::groupSize> keys;
  return state_->match(root, tokens, tokens.size() / blockSize, [&](size_t first, size_t count) {
    for (size_t i = 0; i < count; ++i)
      last = keys[i] = childKey(last, tokens.subspan((first + i) * blockSize, blockSize));
    return std::span<const PrefixKey>(keys).first(count);
  });
}

PrefixMatch PrefixTree::match(const PrefixKeyChain &keys, std::span<const int32_t> tokens) {
  if (!state_->status || keys.blockSize() != cache().layout().block_size)
    return {};
  size_t numKeys = std::min(keys.blocks().size(), tokens.size() / size_t(keys.blockSize()));
  return state_->match(keys.root(), tokens, numKeys, [&keys](size_t first, size_t count) {
    return keys.blocks().subspan(first, count);
  });
}

StatusOr<int64_t> PrefixTree::insert(const PrefixKeyChain &keys, std::span<const int32_t> tokens,
                                     std::span<const BlockId> blocks,
                                     std::span<const PrefixRetention> retention) {
  LLMIR_RETURN_IF_ERROR(state_->status);
  auto blockSize = static_cast<size_t>(cache().layout().block_size);
  blocks = blocks.first(std::min({blocks.size(), keys.blocks().size(), tokens.size() / blockSize}));
  LLMIR_RETURN_IF_ERROR(state_->checkInsertion(keys, blocks));
  int64_t count = state_->insert(keys, tokens, blocks, retention);
  LLMIR_RETURN_IF_ERROR(state_->status);
  return count;
}

StatusOr<int64_t> PrefixTree::insert(std::span<const int32_t> tokens,
                                     std::span<const BlockId> blocks,
                                     const PrefixNamespace &nameSpace,
                                     std::span<const PrefixRetention> retention) {
  LLMIR_RETURN_IF_ERROR(state_->status);
  PrefixKeyChain &keys = state_->scratchKeys;
  keys.restart(rootKey(nameSpace, cache().layout().block_size), cache().layout().block_size);
  keys.extend(tokens);
  return insert(keys, tokens, blocks, retention);
}

Status PrefixTree::pin(const PrefixKeyChain &keys) {
  LLMIR_RETURN_IF_ERROR(state_->status);
  return state_->pin(keys);
}

Status PrefixTree::unpin(const PrefixKeyChain &keys) {
  LLMIR_RETURN_IF_ERROR(state_->status);
  return state_->unpin(keys);
}

int64_t PrefixTree::evict(int64_t blocks) { return state_->status ? state_->evict(blocks) : 0; }
bool PrefixTree::giveUp(BlockId block) { return state_->status && state_->giveUp(block); }
int64_t PrefixTree::countEvictable() const { return state_->countEvictable(); }
void PrefixTree::clear() { state_->clear(); }

const PrefixTreeStatistics &PrefixTree::statistics() const {
  state_->statistics.evictionCandidates = static_cast<int64_t>(state_->memoryQueue.size());
  return state_->statistics;
}

void PrefixTree::visit(const std::function<void(const PrefixBlockView &)> &visitor) const {
  state_->visit(visitor);
}

void PrefixTree::appendHeldBlocks(std::vector<BlockId> &held) const {
  for (NodeIndex node = 0; node < state_->nodes.end(); ++node)
    if (state_->nodes[node].kind == NodeKind::Block && state_->nodes[node].isInMemory())
      held.push_back(state_->nodes[node].block);
}

Status PrefixTree::checkInvariants() const { return state_->checkInvariants(); }

} // namespace llmir
