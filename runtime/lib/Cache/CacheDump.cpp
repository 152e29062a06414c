// CacheDump: counting, and the record of a checkpoint. That of a live pool is in LiveCacheDump.cpp:
// a program that only reads files needs no prefix tree.

#include "CacheDumpParts.h"

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
