// CacheDump as JSON, and back. Fields are written in one order, so equal dumps have equal text.

#include "llmir/Cache/CacheDump.h"

#include <limits>
#include <nlohmann/json.hpp>

namespace llmir {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t formatVersion = 1;

Json layoutToJson(const CacheDump::Layout &layout) {
  return {{"key_type", layout.keyType},        {"value_type", layout.valueType},
          {"num_layers", layout.numLayers},    {"num_kv_heads", layout.numKVHeads},
          {"key_head_dim", layout.keyHeadDim}, {"value_head_dim", layout.valueHeadDim},
          {"block_size", layout.blockSize},    {"max_seq_len", layout.maxSeqLen},
          {"block_bytes", layout.blockBytes}};
}

Json countsToJson(const CacheDump::Counts &counts, size_t numBlocks) {
  return {{"blocks", numBlocks},
          {"free", counts.free},
          {"of_one_sequence", counts.ofOneSequence},
          {"shared", counts.shared},
          {"of_tree_alone", counts.ofTreeAlone},
          {"of_others", counts.ofOthers},
          {"slack_tokens", counts.slackTokens}};
}

Json blockToJson(const CacheDump::Block &block) {
  if (block.freeOrder)
    return {{"free_order", *block.freeOrder}};
  Json json = {{"owners", block.owners}, {"sequences", block.sequences}};
  json["tree"] = block.isInTree;
  if (block.age)
    json["age"] = *block.age;
  return json;
}

Json nodeToJson(const CacheDump::TreeNode &node) {
  return {{"key", node.key},           {"parent", node.parent ? Json(*node.parent) : Json()},
          {"tokens", node.tokens},     {"block", node.block ? Json(*node.block) : Json()},
          {"priority", node.priority}, {"pins", node.pins},
          {"last_use", node.lastUse}};
}

Json statisticsToJson(const CacheDump::Statistics &statistics) {
  return {{"matches", statistics.matches},
          {"tokens_asked", statistics.tokensAsked},
          {"tokens_matched", statistics.tokensMatched},
          {"blocks_inserted", statistics.blocksInserted},
          {"blocks_evicted", statistics.blocksEvicted},
          {"pages_written", statistics.pagesWritten},
          {"pages_read", statistics.pagesRead}};
}

/// Reads fields of one object; keeps the first error.
class FieldReader {
public:
  FieldReader(const Json &object, std::string where, Status &status)
      : object_(object), where_(std::move(where)), status_(status) {
    if (!object_.is_object())
      fail("an object");
  }

  /// An integer of 0 to `end` - 1.
  int64_t count(const char *name, int64_t end = std::numeric_limits<int64_t>::max()) {
    const Json *field = find(name);
    if (field &&
        (!field->is_number_integer() || field->get<int64_t>() < 0 || field->get<int64_t>() >= end))
      fail("'" + std::string(name) + "' to be 0 to " + std::to_string(end - 1));
    return status_.isOk() ? field->get<int64_t>() : 0;
  }
  /// The same, or null.
  std::optional<int64_t> optionalCount(const char *name,
                                       int64_t end = std::numeric_limits<int64_t>::max()) {
    const Json *field = find(name);
    return field && field->is_null() ? std::nullopt : std::optional(count(name, end));
  }
  std::string text(const char *name) {
    const Json *field = find(name);
    if (field && !field->is_string())
      fail("'" + std::string(name) + "' to be a string");
    return status_.isOk() ? field->get<std::string>() : std::string();
  }
  /// A list of integers of `first` to `end` - 1.
  std::vector<int32_t> integers(const char *name, int64_t first, int64_t end) {
    std::vector<int32_t> result;
    for (const Json &element : list(name)) {
      if (!element.is_number_integer() || element.get<int64_t>() < first ||
          element.get<int64_t>() >= end) {
        fail("'" + std::string(name) + "' to have integers of " + std::to_string(first) + " to " +
             std::to_string(end - 1));
        return {};
      }
      result.push_back(element.get<int32_t>());
    }
    return result;
  }
  bool truth(const char *name) {
    const Json *field = find(name);
    if (field && !field->is_boolean())
      fail("'" + std::string(name) + "' to be true or false");
    return status_.isOk() && field->get<bool>();
  }
  const Json &list(const char *name) {
    static const Json empty = Json::array();
    const Json *field = find(name);
    if (field && !field->is_array())
      fail("'" + std::string(name) + "' to be a list");
    return status_.isOk() ? *field : empty;
  }
  const Json &value(const char *name) {
    static const Json null;
    const Json *field = find(name);
    return field ? *field : null;
  }
  bool has(const char *name) const { return object_.is_object() && object_.contains(name); }

private:
  const Json *find(const char *name) {
    if (status_.isOk() && !has(name))
      fail("'" + std::string(name) + "'");
    return status_.isOk() ? &object_.at(name) : nullptr;
  }
  void fail(const std::string &what) {
    if (status_.isOk())
      status_ = invalidArgument("cache dump: expected " + what + " in " + where_);
  }

  const Json &object_;
  std::string where_;
  Status &status_;
};

void readLayout(FieldReader reader, CacheDump::Layout &layout) {
  // Wide enough for every layout, small enough to multiply.
  constexpr int64_t end = int64_t(1) << 31;
  layout.keyType = reader.text("key_type");
  layout.valueType = reader.text("value_type");
  layout.numLayers = reader.count("num_layers", end);
  layout.numKVHeads = reader.count("num_kv_heads", end);
  layout.keyHeadDim = reader.count("key_head_dim", end);
  layout.valueHeadDim = reader.count("value_head_dim", end);
  layout.blockSize = reader.count("block_size", end);
  layout.maxSeqLen = reader.count("max_seq_len", end);
  layout.blockBytes = reader.count("block_bytes");
}

CacheDump::Block readBlock(FieldReader reader, int64_t numBlocks) {
  constexpr int64_t first = std::numeric_limits<int32_t>::min(), end = int64_t(1) << 31;
  CacheDump::Block block;
  if (reader.has("free_order")) {
    block.freeOrder = reader.count("free_order", numBlocks);
    return block;
  }
  block.owners = static_cast<int32_t>(reader.count("owners", end));
  block.sequences = reader.integers("sequences", first, end);
  block.isInTree = reader.truth("tree");
  if (reader.has("age"))
    block.age = reader.count("age");
  return block;
}

CacheDump::Sequence readSequence(const Json &json, const std::string &where, int64_t numBlocks,
                                 Status &status) {
  FieldReader reader(json, where, status);
  CacheDump::Sequence sequence;
  const Json &id = reader.value("id");
  if (status.isOk() && !id.is_number_integer())
    status = invalidArgument("cache dump: expected 'id' to be an integer in " + where);
  sequence.id = status.isOk() ? id.get<int32_t>() : 0;
  sequence.length = reader.count("length", int64_t(1) << 31);
  sequence.blocks = reader.integers("blocks", 0, numBlocks);
  return sequence;
}

CacheDump::TreeNode readNode(FieldReader reader, int64_t number, int64_t numBlocks) {
  CacheDump::TreeNode node;
  node.key = reader.text("key");
  node.parent = reader.optionalCount("parent", number);
  node.tokens = reader.count("tokens", int64_t(1) << 31);
  if (std::optional<int64_t> block = reader.optionalCount("block", numBlocks))
    node.block = static_cast<int32_t>(*block);
  node.priority = reader.count("priority");
  node.pins = reader.count("pins");
  node.lastUse = static_cast<uint64_t>(reader.count("last_use"));
  return node;
}

CacheDump::Statistics readStatistics(FieldReader reader) {
  CacheDump::Statistics statistics;
  statistics.matches = reader.count("matches");
  statistics.tokensAsked = reader.count("tokens_asked");
  statistics.tokensMatched = reader.count("tokens_matched");
  statistics.blocksInserted = reader.count("blocks_inserted");
  statistics.blocksEvicted = reader.count("blocks_evicted");
  statistics.pagesWritten = reader.count("pages_written");
  statistics.pagesRead = reader.count("pages_read");
  return statistics;
}

/// `block 3`.
std::string nth(const char *what, size_t number) {
  return std::string(what) + " " + std::to_string(number);
}

} // namespace

std::string toJson(const CacheDump &dump) {
  Json json;
  json["kind"] = "cache dump";
  json["format"] = formatVersion;
  json["source"] = dump.source;
  json["layout"] = layoutToJson(dump.layout);
  json["pool"] = countsToJson(dump.counts(), dump.blocks.size());
  Json &blocks = json["blocks"] = Json::array();
  for (const CacheDump::Block &block : dump.blocks)
    blocks.push_back(blockToJson(block));
  Json &sequences = json["sequences"] = Json::array();
  for (const CacheDump::Sequence &sequence : dump.sequences)
    sequences.push_back(
        {{"id", sequence.id}, {"length", sequence.length}, {"blocks", sequence.blocks}});
  Json &tree = json["tree"] = Json::array();
  for (const CacheDump::TreeNode &node : dump.tree)
    tree.push_back(nodeToJson(node));
  json["statistics"] = dump.statistics ? statisticsToJson(*dump.statistics) : Json();
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

StatusOr<CacheDump> parseCacheDump(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  Status status;
  FieldReader reader(json, "the dump", status);
  if (status.isOk() && reader.text("kind") != "cache dump")
    return invalidArgument("cache dump: expected 'kind' to be 'cache dump'");
  if (int64_t format = reader.count("format"); status.isOk() && format != formatVersion)
    return unimplemented("cache dump: expected format " + std::to_string(formatVersion) +
                         ", but got " + std::to_string(format));
  CacheDump dump;
  dump.source = reader.text("source");
  readLayout(FieldReader(reader.value("layout"), "'layout'", status), dump.layout);
  const Json &blocks = reader.list("blocks");
  auto numBlocks = static_cast<int64_t>(blocks.size());
  for (size_t i = 0; i < blocks.size() && status.isOk(); ++i)
    dump.blocks.push_back(readBlock(FieldReader(blocks[i], nth("block", i), status), numBlocks));
  const Json &sequences = reader.list("sequences");
  for (size_t i = 0; i < sequences.size() && status.isOk(); ++i)
    dump.sequences.push_back(readSequence(sequences[i], nth("sequence", i), numBlocks, status));
  const Json &tree = reader.list("tree");
  for (size_t i = 0; i < tree.size() && status.isOk(); ++i)
    dump.tree.push_back(readNode(FieldReader(tree[i], nth("tree node", i), status),
                                 static_cast<int64_t>(i), numBlocks));
  if (const Json &statistics = reader.value("statistics"); !statistics.is_null())
    dump.statistics = readStatistics(FieldReader(statistics, "'statistics'", status));
  if (!status.isOk())
    return status;
  return dump;
}

} // namespace llmir
