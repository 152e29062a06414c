// PrefixTreeCheckpoint: a record is a block; paths are inserted again leaf by leaf, the least
// recently used first, so that eviction finds the order that it had.

#include "llmir/Cache/PrefixTreeCheckpoint.h"

#include "ByteStream.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

using KeyBytes = std::array<uint8_t, 32>;

KeyBytes toBytes(const PrefixKey &key) {
  KeyBytes bytes;
  static_assert(sizeof bytes == sizeof key.words);
  std::memcpy(bytes.data(), key.words.data(), sizeof bytes);
  return bytes;
}

PrefixKey toKey(std::span<const uint8_t> bytes) {
  PrefixKey key;
  std::memcpy(key.words.data(), bytes.data(), sizeof key.words);
  return key;
}

/// What a record has beyond its key and tokens.
struct Attributes {
  uint8_t priority = 0;
  uint64_t lastUse = 0;
  std::optional<PrefixKey> nameSpace; ///< Of the first block of a prefix.
};

std::vector<uint8_t> serialize(const Attributes &attributes) {
  ByteWriter writer;
  writer.put(attributes.priority);
  writer.put(attributes.lastUse);
  if (attributes.nameSpace)
    writer.putBytes(toBytes(*attributes.nameSpace));
  return writer.take();
}

/// A record whose place in the tree is checked.
struct Node {
  Attributes attributes;
  PrefixKey root;
  bool isLeaf = true;
};

StatusOr<Attributes> parse(const TreeRecord &record) {
  ByteReader reader(record.attributes);
  Attributes attributes;
  attributes.priority = reader.get<uint8_t>("priority");
  attributes.lastUse = reader.get<uint64_t>("last use");
  if (!record.parent)
    if (std::span<const uint8_t> key = reader.getBytes(32, "namespace"); !key.empty())
      attributes.nameSpace = toKey(key);
  if (reader.status().isOk() && reader.remaining() > 0)
    reader.fail(std::to_string(reader.remaining()) + " bytes of attributes are left over");
  if (!reader.status().isOk())
    return reader.status();
  return attributes;
}

/// Every record checked against its key, its parent and the block size.
StatusOr<std::vector<Node>> checkRecords(std::span<const TreeRecord> records, int64_t blockSize) {
  std::vector<Node> nodes;
  for (size_t i = 0; i < records.size(); ++i) {
    const TreeRecord &record = records[i];
    std::string context = "prefix tree block " + std::to_string(i);
    StatusOr<Attributes> attributes = parse(record);
    if (!attributes)
      return attributes.status().withContext(context);
    if (record.parent && *record.parent >= i)
      return dataLoss(context + ": expected its parent before it, but got " +
                      std::to_string(*record.parent));
    if (static_cast<int64_t>(record.tokens.size()) != blockSize)
      return dataLoss(context + ": expected " + std::to_string(blockSize) + " tokens, but got " +
                      std::to_string(record.tokens.size()));
    PrefixKey root = record.parent ? nodes[*record.parent].root : *attributes->nameSpace;
    PrefixKey parent = record.parent ? toKey(records[*record.parent].key) : root;
    PrefixKey key = childKey(parent, record.tokens);
    if (toBytes(key) != record.key)
      return dataLoss(context + ": expected key " + toString(key) + " of its tokens, but got " +
                      toString(toKey(record.key)));
    if (record.parent)
      nodes[*record.parent].isLeaf = false;
    nodes.push_back({*attributes, root, true});
  }
  return nodes;
}

/// The tokens, blocks and priorities from the root to a leaf.
struct Path {
  std::vector<int32_t> tokens;
  std::vector<BlockId> blocks;
  std::vector<PrefixRetention> retention;

  Path(std::span<const TreeRecord> records, const std::vector<Node> &nodes, size_t leaf) {
    std::vector<size_t> indices;
    for (std::optional<uint32_t> at = static_cast<uint32_t>(leaf); at; at = records[*at].parent)
      indices.push_back(*at);
    std::reverse(indices.begin(), indices.end());
    for (size_t index : indices) {
      auto first = static_cast<int64_t>(tokens.size());
      tokens.insert(tokens.end(), records[index].tokens.begin(), records[index].tokens.end());
      blocks.push_back(records[index].block);
      retention.push_back({first, static_cast<int64_t>(tokens.size()),
                           nodes[index].attributes.priority, std::nullopt});
    }
  }
};

} // namespace

std::vector<TreeRecord> PrefixTreeCheckpoint::exportRecords() const {
  std::vector<TreeRecord> records;
  std::unordered_map<PrefixKey, uint32_t, PrefixKeyHash> indices;
  tree_.visit([&](const PrefixBlockView &view) {
    if (!view.block)
      return;
    TreeRecord record;
    Attributes attributes{view.priority, view.lastUse, std::nullopt};
    if (view.depth == 0) {
      attributes.nameSpace = view.parent;
    } else {
      auto parent = indices.find(view.parent);
      // Behind a block that is on the disk only, it could not be found again.
      if (parent == indices.end())
        return;
      record.parent = parent->second;
    }
    record.key = toBytes(view.key);
    record.tokens.assign(view.tokens.begin(), view.tokens.end());
    record.block = *view.block;
    record.attributes = serialize(attributes);
    indices.emplace(view.key, static_cast<uint32_t>(records.size()));
    records.push_back(std::move(record));
  });
  return records;
}

Status PrefixTreeCheckpoint::importRecords(std::span<const TreeRecord> records) {
  LLMIR_RETURN_IF_ERROR(tree_.status());
  int64_t blockSize = tree_.cache().layout().block_size;
  StatusOr<std::vector<Node>> nodes = checkRecords(records, blockSize);
  if (!nodes)
    return nodes.status();
  std::vector<size_t> leaves;
  for (size_t i = 0; i < nodes->size(); ++i)
    if ((*nodes)[i].isLeaf)
      leaves.push_back(i);
  std::sort(leaves.begin(), leaves.end(), [&](size_t a, size_t b) {
    return std::pair((*nodes)[a].attributes.lastUse, a) <
           std::pair((*nodes)[b].attributes.lastUse, b);
  });
  for (size_t leaf : leaves) {
    Path path(records, *nodes, leaf);
    PrefixKeyChain chain((*nodes)[leaf].root, blockSize);
    chain.extend(path.tokens);
    StatusOr<int64_t> added = tree_.insert(chain, path.tokens, path.blocks, path.retention);
    if (!added)
      return added.status();
  }
  return Status::ok();
}

} // namespace llmir
