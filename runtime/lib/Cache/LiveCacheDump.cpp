// dumpCache: the record of a live pool.

#include "CacheDumpParts.h"

#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

void addTree(CacheDump &dump, const PrefixTree &tree) {
  std::unordered_map<PrefixKey, int64_t, PrefixKeyHash> numbers;
  tree.visit([&](const PrefixBlockView &view) {
    CacheDump::TreeNode node;
    node.key = toString(view.key);
    if (auto parent = numbers.find(view.parent); parent != numbers.end())
      node.parent = parent->second;
    node.tokens = static_cast<int64_t>(view.tokens.size());
    if (view.block) {
      node.block = view.block->index;
      dump.blocks[static_cast<size_t>(view.block->index)].isInTree = true;
    }
    node.priority = view.priority;
    node.pins = view.pins;
    node.lastUse = view.lastUse;
    numbers.emplace(view.key, static_cast<int64_t>(dump.tree.size()));
    dump.tree.push_back(std::move(node));
  });
  const PrefixTreeStatistics &statistics = tree.statistics();
  dump.statistics = CacheDump::Statistics{statistics.matches,       statistics.tokensAsked,
                                          statistics.tokensMatched, statistics.blocksInserted,
                                          statistics.blocksEvicted, statistics.pagesWritten,
                                          statistics.pagesRead};
}

} // namespace

StatusOr<CacheDump> dumpCache(const PagedKVCache &cache, const PrefixTree *tree) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  CacheDump dump;
  dump.source = "live pool";
  dump.layout = describeCacheLayout(cache.layout());
  dump.blocks.resize(static_cast<size_t>(cache.pool().numBlocks()));
  for (size_t i = 0; i < dump.blocks.size(); ++i) {
    auto index = static_cast<int32_t>(i);
    dump.blocks[i].owners = cache.pool().useCount(index);
    if (dump.blocks[i].owners > 0)
      dump.blocks[i].age = static_cast<int64_t>(cache.pool().age(index));
  }
  int64_t order = 0;
  for (int32_t block : cache.pool().freeBlocks())
    dump.blocks[static_cast<size_t>(block)].freeOrder = order++;
  for (SequenceId id : cache.sequenceIds()) {
    StatusOr<int64_t> length = cache.length(id);
    StatusOr<std::span<const BlockId>> blocks = cache.blocks(id);
    if (!length || !blocks)
      return length ? blocks.status() : length.status();
    CacheDump::Sequence sequence{static_cast<int32_t>(id), *length, {}};
    for (BlockId block : *blocks)
      sequence.blocks.push_back(block.index);
    addToDump(dump, std::move(sequence));
  }
  if (tree)
    addTree(dump, *tree);
  return dump;
}

} // namespace llmir
