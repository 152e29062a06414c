// CacheDump: counting, and the record of a checkpoint. That of a live pool is in LiveCacheDump.cpp:
// a program that only reads files needs no prefix tree.

#include "BlockUse.h"
#include "CacheDumpParts.h"

#include <algorithm>
#include <utility>

namespace llmir {

namespace {

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

CacheDump::Layout describeCacheLayout(const llmir_cache_layout &layout) {
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

void addToDump(CacheDump &dump, CacheDump::Sequence sequence) {
  for (int32_t block : sequence.blocks) {
    std::vector<int32_t> &ids = dump.blocks[static_cast<size_t>(block)].sequences;
    if (ids.empty() || ids.back() != sequence.id)
      ids.push_back(sequence.id);
  }
  dump.sequences.push_back(std::move(sequence));
}

CacheDump dumpCheckpoint(const CheckpointManifest &manifest) {
  CacheDump dump;
  dump.source = manifest.name;
  dump.layout = describeCacheLayout(manifest.layout);
  if (manifest.layout.struct_size != sizeof manifest.layout)
    return dump; // Of another ABI: nothing else was checked when it was read.
  dump.blocks.resize(manifest.blocks.size());
  for (const CheckpointSequence &saved : manifest.sequences) {
    CacheDump::Sequence sequence{static_cast<int32_t>(saved.id), saved.length, {}};
    for (uint32_t block : saved.blocks)
      sequence.blocks.push_back(static_cast<int32_t>(block));
    addToDump(dump, std::move(sequence));
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
  int64_t *const byUse[numBlockUses] = {&counts.ofOneSequence, &counts.shared, &counts.ofTreeAlone,
                                        &counts.ofOthers, &counts.free};
  for (const Block &block : blocks)
    ++*byUse[static_cast<size_t>(useOf(block))];
  for (const Sequence &sequence : sequences)
    counts.slackTokens +=
        static_cast<int64_t>(sequence.blocks.size()) * layout.blockSize - sequence.length;
  return counts;
}

std::optional<CacheDump::Ages> CacheDump::ages() const {
  std::vector<int64_t> known;
  for (const Block &block : blocks)
    if (block.age)
      known.push_back(*block.age);
  if (known.empty())
    return std::nullopt;
  Ages ages;
  ages.blocks = static_cast<int64_t>(known.size());
  auto turn = static_cast<int64_t>(blocks.size());
  ages.pastOneTurn =
      std::count_if(known.begin(), known.end(), [turn](int64_t age) { return age >= turn; });
  std::sort(known.begin(), known.end());
  ages.median = known[known.size() / 2];
  ages.oldest = known.back();
  return ages;
}

std::optional<int64_t> CacheDump::oldestBlock(const Sequence &sequence) const {
  std::optional<int64_t> oldest;
  for (int32_t index : sequence.blocks)
    if (const Block &block = blocks[static_cast<size_t>(index)];
        block.age && block.sequences.size() == 1)
      oldest = std::max(oldest.value_or(0), *block.age);
  return oldest;
}

size_t CacheDump::ageStep(int64_t age, size_t numBlocks) {
  double turns = static_cast<double>(age) / static_cast<double>(std::max<size_t>(numBlocks, 1));
  size_t step = 0;
  for (double bound = 0.25; step + 1 < numAgeSteps && turns >= bound; bound *= 2)
    ++step;
  return step;
}

} // namespace llmir
