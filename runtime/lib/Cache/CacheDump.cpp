// CacheDump: taking a record of a live cache or of a checkpoint, and counting.

#include "llmir/Cache/CacheDump.h"

#include <algorithm>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

CacheDump::Layout describeLayout(const llmir_cache_layout &layout) {
  CacheDump::Layout result;
  result.keyType = elementTypeName(layout.key_type);
  result.valueType = elementTypeName(layout.value_type);
  result.numLayers = layout.num_layers;
  result.numKVHeads = layout.num_kv_heads;
  result.keyHeadDim = layout.key_head_dim;
  result.valueHeadDim = layout.value_head_dim;
  result.blockSize = layout.block_size;
  result.maxSeqLen = layout.max_seq_len;
  result.blockBytes = layout.block_stride;
  return result;
}

/// Enters a sequence into the blocks that it names.
void addSequence(CacheDump &dump, CacheDump::Sequence sequence) {
  for (int32_t block : sequence.blocks) {
    std::vector<int32_t> &ids = dump.blocks[static_cast<size_t>(block)].sequences;
    if (ids.empty() || ids.back() != sequence.id)
      ids.push_back(sequence.id);
  }
  dump.sequences.push_back(std::move(sequence));
}

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

std::string toHex(std::span<const uint8_t> bytes) {
  constexpr const char *digits = "0123456789abcdef";
  std::string text;
  for (uint8_t byte : bytes) {
    text += digits[byte >> 4];
    text += digits[byte & 15];
  }
  return text;
}

} // namespace

StatusOr<CacheDump> dumpCache(const PagedKVCache &cache, const PrefixTree *tree) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  CacheDump dump;
  dump.source = "live pool";
  dump.layout = describeLayout(cache.layout());
  dump.blocks.resize(static_cast<size_t>(cache.pool().numBlocks()));
  for (size_t i = 0; i < dump.blocks.size(); ++i)
    dump.blocks[i].owners = cache.pool().useCount(static_cast<int32_t>(i));
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
    addSequence(dump, std::move(sequence));
  }
  if (tree)
    addTree(dump, *tree);
  return dump;
}

CacheDump dumpCheckpoint(const CheckpointManifest &manifest) {
  CacheDump dump;
  dump.source = manifest.name;
  dump.layout = describeLayout(manifest.layout);
  if (manifest.layout.struct_size != sizeof manifest.layout)
    return dump; // Of another ABI: nothing else was checked when it was read.
  dump.blocks.resize(manifest.blocks.size());
  for (const CheckpointSequence &saved : manifest.sequences) {
    CacheDump::Sequence sequence{static_cast<int32_t>(saved.id), saved.length, {}};
    for (uint32_t block : saved.blocks)
      sequence.blocks.push_back(static_cast<int32_t>(block));
    addSequence(dump, std::move(sequence));
  }
  for (const CheckpointTreeNode &saved : manifest.tree) {
    CacheDump::TreeNode node;
    node.key = toHex(saved.key);
    if (saved.parent)
      node.parent = *saved.parent;
    node.tokens = static_cast<int64_t>(saved.tokens.size());
    node.block = static_cast<int32_t>(saved.block);
    dump.blocks[saved.block].isInTree = true;
    dump.tree.push_back(std::move(node));
  }
  for (CacheDump::Block &block : dump.blocks)
    block.owners = static_cast<int32_t>(block.sequences.size()) + (block.isInTree ? 1 : 0);
  return dump;
}

CacheDump::Counts CacheDump::counts() const {
  Counts counts;
  for (const Block &block : blocks) {
    if (block.owners == 0)
      ++counts.free;
    else if (block.sequences.empty())
      ++(block.isInTree ? counts.ofTreeAlone : counts.ofOthers);
    else
      ++(block.owners == 1 ? counts.ofOneSequence : counts.shared);
  }
  for (const Sequence &sequence : sequences)
    counts.slackTokens +=
        static_cast<int64_t>(sequence.blocks.size()) * layout.blockSize - sequence.length;
  return counts;
}

} // namespace llmir
