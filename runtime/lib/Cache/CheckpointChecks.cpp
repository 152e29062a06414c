// CheckpointChecks: a manifest is checked from its packs up, so that each level can rely on the one
// below.

#include "CheckpointChecks.h"

#include <algorithm>
#include <string>

namespace llmir {

namespace {

/// DataLoss unless index < count.
Status checkIndex(uint64_t index, size_t count, const char *what, const char *owner,
                  size_t number) {
  if (index < count)
    return Status::ok();
  return dataLoss("expected " + std::string(owner) + " " + std::to_string(number) +
                  " to name one of " + std::to_string(count) + " " + what + ", but got " +
                  std::to_string(index));
}

/// That every page lies within its pack, so that whoever looks for live pages can rely on it.
Status checkPagePlaces(const CheckpointManifest &manifest) {
  for (size_t i = 0; i < manifest.packs.size(); ++i)
    if (manifest.packs[i].bytes < packHeaderBytes)
      return dataLoss("expected pack " + std::to_string(i) + " to have at least " +
                      std::to_string(packHeaderBytes) + " bytes, but got " +
                      std::to_string(manifest.packs[i].bytes));
  for (size_t i = 0; i < manifest.pages.size(); ++i) {
    const CheckpointPage &page = manifest.pages[i];
    LLMIR_RETURN_IF_ERROR(checkIndex(page.pack, manifest.packs.size(), "packs", "page", i));
    uint64_t packBytes = manifest.packs[page.pack].bytes;
    if (page.offset < packHeaderBytes || page.offset > packBytes ||
        page.storedBytes > packBytes - page.offset)
      return dataLoss("expected page " + std::to_string(i) + " to lie within " +
                      std::to_string(packHeaderBytes) + " to " + std::to_string(packBytes) +
                      " of its pack, but got " + std::to_string(page.storedBytes) +
                      " bytes at offset " + std::to_string(page.offset));
  }
  for (size_t i = 0; i < manifest.blocks.size(); ++i)
    LLMIR_RETURN_IF_ERROR(
        checkIndex(manifest.blocks[i], manifest.pages.size(), "pages", "block", i));
  return Status::ok();
}

Status checkPageSizes(const CheckpointManifest &manifest) {
  auto blockBytes = static_cast<uint64_t>(manifest.layout.block_stride);
  for (size_t i = 0; i < manifest.pages.size(); ++i) {
    const CheckpointPage &page = manifest.pages[i];
    if (page.encoding != PageEncoding::Raw && page.encoding != PageEncoding::Zstd)
      return dataLoss("expected page " + std::to_string(i) +
                      " to be raw or zstd, but got encoding " +
                      std::to_string(static_cast<uint32_t>(page.encoding)));
    // zstd makes at least 4 bytes of 128 KiB; who claims more wants memory.
    constexpr uint64_t bestRatio = 32768;
    bool fits = page.encoding == PageEncoding::Raw
                    ? page.storedBytes == blockBytes
                    : page.storedBytes <= blockBytes && blockBytes / bestRatio <= page.storedBytes;
    if (!fits)
      return dataLoss("expected page " + std::to_string(i) + " to hold a block of " +
                      std::to_string(blockBytes) + " bytes, but it has " +
                      std::to_string(page.storedBytes));
  }
  return Status::ok();
}

Status checkSequence(const CheckpointManifest &manifest, size_t number) {
  const CheckpointSequence &sequence = manifest.sequences[number];
  if (sequence.length < 0 || sequence.length > manifest.layout.max_seq_len)
    return dataLoss("expected sequence " + std::to_string(number) + " to have 0 to " +
                    std::to_string(manifest.layout.max_seq_len) + " tokens, but got " +
                    std::to_string(sequence.length));
  auto expected = static_cast<uint64_t>(blocksForTokens(manifest.layout, sequence.length));
  if (sequence.blocks.size() != expected)
    return dataLoss("expected sequence " + std::to_string(number) + " of " +
                    std::to_string(sequence.length) + " tokens to have " +
                    std::to_string(expected) + " blocks, but got " +
                    std::to_string(sequence.blocks.size()));
  for (uint32_t block : sequence.blocks)
    LLMIR_RETURN_IF_ERROR(checkIndex(block, manifest.blocks.size(), "blocks", "sequence", number));
  return Status::ok();
}

Status checkNode(const CheckpointManifest &manifest, size_t number) {
  const CheckpointTreeNode &node = manifest.tree[number];
  if (node.parent && *node.parent >= number)
    return dataLoss("expected tree node " + std::to_string(number) +
                    " to come after its parent, but the parent is " + std::to_string(*node.parent));
  LLMIR_RETURN_IF_ERROR(
      checkIndex(node.block, manifest.blocks.size(), "blocks", "tree node", number));
  auto blockSize = static_cast<size_t>(manifest.layout.block_size);
  if (node.tokens.size() > blockSize)
    return dataLoss("expected tree node " + std::to_string(number) + " to have at most " +
                    std::to_string(blockSize) + " tokens, but got " +
                    std::to_string(node.tokens.size()));
  return Status::ok();
}

Status checkScales(const CheckpointManifest &manifest, const std::vector<float> &scales,
                   const char *side) {
  // In 64 bits: the counts of a hostile layout may be anything positive.
  auto expected = static_cast<uint64_t>(manifest.layout.num_layers) *
                  static_cast<uint64_t>(manifest.layout.num_kv_heads);
  if (scales.empty() || scales.size() == expected)
    return Status::ok();
  return dataLoss("expected no constant scales of " + std::string(side) + " or " +
                  std::to_string(expected) + ", but got " + std::to_string(scales.size()));
}

} // namespace

Status checkManifest(const CheckpointManifest &manifest) {
  if (Status status = checkCheckpointName(manifest.name); !status.isOk())
    return dataLoss(status.message());
  if (manifest.part >= manifest.numParts)
    return dataLoss("expected a part below " + std::to_string(manifest.numParts) + ", but got " +
                    std::to_string(manifest.part));
  LLMIR_RETURN_IF_ERROR(checkPagePlaces(manifest));
  const llmir_cache_layout &layout = manifest.layout;
  if (layout.struct_size != sizeof layout)
    // Nothing can be said about the rest; whoever compares layouts refuses it by this field.
    return Status::ok();
  if (layout.block_stride <= 0 || layout.block_size <= 0 || layout.max_seq_len <= 0 ||
      layout.num_layers <= 0 || layout.num_kv_heads <= 0)
    return dataLoss("expected a layout with positive sizes, but got blocks of " +
                    std::to_string(layout.block_stride) + " bytes and " +
                    std::to_string(layout.block_size) + " tokens, sequences of " +
                    std::to_string(layout.max_seq_len) + " tokens, " +
                    std::to_string(layout.num_layers) + " layers and " +
                    std::to_string(layout.num_kv_heads) + " KV heads");
  LLMIR_RETURN_IF_ERROR(checkPageSizes(manifest));
  LLMIR_RETURN_IF_ERROR(checkScales(manifest, manifest.keyScales, "keys"));
  LLMIR_RETURN_IF_ERROR(checkScales(manifest, manifest.valueScales, "values"));
  std::vector<SequenceId> ids;
  for (size_t i = 0; i < manifest.sequences.size(); ++i) {
    LLMIR_RETURN_IF_ERROR(checkSequence(manifest, i));
    ids.push_back(manifest.sequences[i].id);
  }
  std::sort(ids.begin(), ids.end());
  auto twice = std::adjacent_find(ids.begin(), ids.end());
  if (twice != ids.end())
    return dataLoss("expected each sequence once, but got sequence " +
                    std::to_string(static_cast<int32_t>(*twice)) + " twice");
  for (size_t i = 0; i < manifest.tree.size(); ++i)
    LLMIR_RETURN_IF_ERROR(checkNode(manifest, i));
  return Status::ok();
}

Status checkCatalog(const CheckpointCatalog &catalog) {
  if (catalog.nextNumber > endOfNumbers)
    return dataLoss("expected a next number of at most " + std::to_string(endOfNumbers) +
                    ", but got " + std::to_string(catalog.nextNumber));
  uint64_t previous = 0;
  std::vector<std::string_view> names;
  for (const CatalogEntry &entry : catalog.entries) {
    if (Status status = checkCheckpointName(entry.name); !status.isOk())
      return dataLoss(status.message());
    if (entry.number <= previous || entry.number >= catalog.nextNumber)
      return dataLoss("expected numbers that rise from 1 to below " +
                      std::to_string(catalog.nextNumber) + ", but got " +
                      std::to_string(entry.number) + " after " + std::to_string(previous));
    bool isFirst = &entry == catalog.entries.data() || (&entry)[-1].name != entry.name;
    if (uint32_t expected = isFirst ? 0 : (&entry)[-1].part + 1; entry.part != expected)
      return dataLoss("expected part " + std::to_string(expected) + " of '" + entry.name +
                      "', but got part " + std::to_string(entry.part));
    if (isFirst)
      names.push_back(entry.name);
    previous = entry.number;
  }
  std::sort(names.begin(), names.end());
  auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end())
    return dataLoss("expected each name once, but got '" + std::string(*twice) + "' twice");
  return Status::ok();
}

Status checkCheckpointName(std::string_view name) {
  bool isPrintable = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 32 || c == 127;
  });
  if (!name.empty() && name.size() <= 255 && isPrintable)
    return Status::ok();
  return invalidArgument("expected a checkpoint name of 1 to 255 bytes without control characters, "
                         "but got one of " +
                         std::to_string(name.size()) + " bytes");
}

} // namespace llmir
