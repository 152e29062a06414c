// Manifest: JSON to struct and back. Reading stops at the first field that is missing, of the wrong
// kind or out of range, and names it by its path (`caches[0].block_size`).

#include "llmir/Engine/Manifest.h"

#include <nlohmann/json.hpp>

#include <cstddef>
#include <limits>
#include <utility>

namespace llmir {

namespace {

using Json = nlohmann::ordered_json;

/// Reads fields of one object and remembers the first failure; later reads then do nothing.
class FieldReader {
public:
  FieldReader(const Json &object, std::string path, Status &status)
      : object_(object), path_(std::move(path)), status_(status) {
    if (status_.isOk() && !object_.is_object())
      status_ = wrong(path_.empty() ? "the manifest" : "'" + path_ + "'", "an object", object_);
  }

  void read(const char *name, std::string &value) {
    if (const Json *field = find(name)) {
      if (!field->is_string())
        status_ = wrong(quoted(name), "a string", *field);
      else
        value = field->get_ref<const std::string &>();
    }
  }

  void read(const char *name, int64_t &value, int64_t least) {
    if (const Json *field = find(name)) {
      bool fits = field->is_number_integer() &&
                  !(field->is_number_unsigned() &&
                    field->get<uint64_t>() > uint64_t(std::numeric_limits<int64_t>::max()));
      if (!fits || field->get<int64_t>() < least)
        status_ = wrong(quoted(name), "an integer of at least " + std::to_string(least), *field);
      else
        value = field->get<int64_t>();
    }
  }

  /// A value that `parse` makes of a string.
  template <typename T>
  void read(const char *name, T &value, StatusOr<T> (*parse)(std::string_view)) {
    std::string text;
    read(name, text);
    if (!status_.isOk())
      return;
    StatusOr<T> parsed = parse(text);
    if (!parsed)
      status_ = dataLoss(quoted(name) + ": " + parsed.status().message());
    else
      value = *parsed;
  }

  /// Like read(), but a field that is absent leaves the value as it is.
  template <typename... Arguments> void readOptional(const char *name, Arguments &&...arguments) {
    if (status_.isOk() && object_.contains(name))
      read(name, std::forward<Arguments>(arguments)...);
  }

  void read(const char *name, std::vector<std::string> &values) {
    if (const Json *field = array(name))
      for (size_t i = 0; i < field->size() && status_.isOk(); ++i) {
        const Json &element = (*field)[i];
        if (!element.is_string())
          status_ = wrong(quoted(name + index(i)), "a string", element);
        else
          values.push_back(element.get<std::string>());
      }
  }

  void read(const char *name, std::map<std::string, std::string> &values) {
    const Json *field = find(name);
    if (!field)
      return;
    if (!field->is_object()) {
      status_ = wrong(quoted(name), "an object", *field);
      return;
    }
    for (const auto &[key, value] : field->items())
      if (value.is_string())
        values[key] = value.get<std::string>();
      else
        status_ = wrong(quoted(std::string(name) + "." + key), "a string", value);
  }

  /// The object of that name; an empty one after a failure.
  FieldReader object(const char *name) {
    const Json *field = find(name);
    return FieldReader(field ? *field : empty(), join(name), status_);
  }

  /// Calls `function(reader)` for each object of an array.
  template <typename Function> void forEach(const char *name, Function function) {
    if (const Json *field = array(name))
      for (size_t i = 0; i < field->size() && status_.isOk(); ++i) {
        FieldReader element((*field)[i], join(name + index(i)), status_);
        function(element);
      }
  }

private:
  static const Json &empty() {
    static const Json object = Json::object();
    return object;
  }
  static std::string index(size_t i) { return "[" + std::to_string(i) + "]"; }
  std::string join(const std::string &name) const {
    return path_.empty() ? name : path_ + "." + name;
  }
  std::string quoted(const std::string &name) const { return "'" + join(name) + "'"; }

  static Status wrong(const std::string &what, const std::string &expected, const Json &got) {
    std::string text = got.dump(-1, ' ', false, Json::error_handler_t::replace);
    if (text.size() > 60)
      text = text.substr(0, 60) + "…";
    return dataLoss("expected " + what + " to be " + expected + ", but got " + text);
  }

  const Json *find(const char *name) {
    if (!status_.isOk())
      return nullptr;
    auto found = object_.find(name);
    if (found != object_.end())
      return &*found;
    status_ = dataLoss("missing field " + quoted(name));
    return nullptr;
  }

  const Json *array(const char *name) {
    const Json *field = find(name);
    if (field && !field->is_array()) {
      status_ = wrong(quoted(name), "an array", *field);
      return nullptr;
    }
    return field;
  }

  const Json &object_;
  std::string path_;
  Status &status_;
};

CacheParameters readCache(FieldReader &reader) {
  CacheParameters cache;
  reader.read("key_type", cache.keyType, parseElementType);
  reader.read("value_type", cache.valueType, parseElementType);
  reader.read("num_layers", cache.numLayers, 1);
  reader.read("num_kv_heads", cache.numKVHeads, 1);
  reader.read("key_head_dim", cache.keyHeadDim, 1);
  reader.read("value_head_dim", cache.valueHeadDim, 1);
  reader.read("block_size", cache.blockSize, 1);
  reader.read("max_seq_len", cache.maxSeqLen, 1);
  reader.readOptional("arrangement", cache.arrangement, parseCacheArrangement);
  reader.readOptional("key_scales", cache.keyScales, parseScaleGranularity);
  reader.readOptional("value_scales", cache.valueScales, parseScaleGranularity);
  reader.readOptional("scale_type", cache.scaleType, parseElementType);
  reader.readOptional("key_scale_group", cache.keyScaleGroup, 0);
  reader.readOptional("value_scale_group", cache.valueScaleGroup, 0);
  reader.readOptional("window", cache.window, 0);
  reader.readOptional("num_sinks", cache.numSinks, 0);
  return cache;
}

Json writeCache(const CacheParameters &cache) {
  Json json;
  json["key_type"] = elementTypeName(cache.keyType);
  json["value_type"] = elementTypeName(cache.valueType);
  json["num_layers"] = cache.numLayers;
  json["num_kv_heads"] = cache.numKVHeads;
  json["key_head_dim"] = cache.keyHeadDim;
  json["value_head_dim"] = cache.valueHeadDim;
  json["block_size"] = cache.blockSize;
  json["max_seq_len"] = cache.maxSeqLen;
  // What has its default is not written.
  const CacheParameters plain;
  if (cache.arrangement != plain.arrangement)
    json["arrangement"] = cacheArrangementName(cache.arrangement);
  if (cache.keyScales != plain.keyScales)
    json["key_scales"] = scaleGranularityName(cache.keyScales);
  if (cache.valueScales != plain.valueScales)
    json["value_scales"] = scaleGranularityName(cache.valueScales);
  if (cache.scaleType != plain.scaleType)
    json["scale_type"] = elementTypeName(cache.scaleType);
  for (auto [name, value] : {std::pair{"key_scale_group", cache.keyScaleGroup},
                             {"value_scale_group", cache.valueScaleGroup},
                             {"window", cache.window},
                             {"num_sinks", cache.numSinks}})
    if (value != 0)
      json[name] = value;
  return json;
}

WorkspaceContract readWorkspace(FieldReader reader) {
  WorkspaceContract workspace;
  reader.read("fixed", workspace.fixed, 0);
  reader.read("per_token", workspace.perToken, 0);
  reader.read("per_sequence", workspace.perSequence, 0);
  reader.read("per_row", workspace.perRow, 0);
  reader.read("per_worker", workspace.perWorker, 0);
  return workspace;
}

Json writeWorkspace(const WorkspaceContract &workspace) {
  Json json;
  json["fixed"] = workspace.fixed;
  json["per_token"] = workspace.perToken;
  json["per_sequence"] = workspace.perSequence;
  json["per_row"] = workspace.perRow;
  json["per_worker"] = workspace.perWorker;
  return json;
}

ModelVersion readVersion(FieldReader &reader) {
  ModelVersion version;
  reader.read("level", version.level);
  reader.read("symbol", version.symbol);
  reader.read("features", version.features);
  version.workspace = readWorkspace(reader.object("workspace"));
  return version;
}

Json writeVersion(const ModelVersion &version) {
  Json json;
  json["level"] = version.level;
  json["symbol"] = version.symbol;
  json["features"] = version.features;
  json["workspace"] = writeWorkspace(version.workspace);
  return json;
}

Status readFields(const Json &json, Manifest &manifest) {
  Status status;
  FieldReader root(json, "", status);
  root.read("format", manifest.format, 0);
  if (status.isOk() && manifest.format != Manifest::formatVersion)
    return failedPrecondition(
        "expected manifest format " + std::to_string(Manifest::formatVersion) + ", but got " +
        std::to_string(manifest.format) + "; compile the model with this version");
  root.read("abi_version", manifest.abiVersion, 0);
  root.read("compiler", manifest.compiler);
  root.read("name", manifest.name);
  root.read("architecture", manifest.architecture);
  root.read("fingerprint", manifest.fingerprint);
  FieldReader target = root.object("target");
  target.read("triple", manifest.targetTriple);
  target.read("features", manifest.targetFeatures);
  root.read("options", manifest.options);
  root.read("vocabulary_size", manifest.vocabularySize, 1);
  root.read("max_sequence_length", manifest.maxSequenceLength, 1);
  manifest.workspace = readWorkspace(root.object("workspace"));
  if (status.isOk() && json.contains("versions"))
    root.forEach("versions",
                 [&](FieldReader &version) { manifest.versions.push_back(readVersion(version)); });
  root.forEach("caches", [&](FieldReader &cache) { manifest.caches.push_back(readCache(cache)); });
  FieldReader weights = root.object("weights");
  weights.read("bytes", manifest.weightBytes, 0);
  weights.read("xxh3_128", manifest.weightHash);
  root.read("bytes_per_token", manifest.bytesPerToken, 0);
  if (status.isOk() && json.contains("world")) {
    FieldReader world = root.object("world");
    world.read("rank", manifest.rank, 0);
    world.read("size", manifest.worldSize, 1);
    if (status.isOk() && manifest.rank >= manifest.worldSize)
      status =
          dataLoss("expected 'world.rank' to be below 'world.size', but got " +
                   std::to_string(manifest.rank) + " of " + std::to_string(manifest.worldSize));
  }
  return status;
}

} // namespace

StatusOr<Manifest> parseManifest(std::string_view text) {
  Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded())
    return dataLoss("the manifest of " + std::to_string(text.size()) + " bytes is not JSON");
  Manifest manifest;
  LLMIR_RETURN_IF_ERROR(readFields(json, manifest));
  for (size_t i = 0; i < manifest.caches.size(); ++i)
    if (StatusOr<llmir_cache_layout> layout = makeCacheLayout(manifest.caches[i]); !layout)
      return dataLoss("'caches[" + std::to_string(i) + "]': " + layout.status().message());
  return manifest;
}

std::string formatManifest(const Manifest &manifest) {
  Json json;
  json["format"] = manifest.format;
  json["abi_version"] = manifest.abiVersion;
  json["compiler"] = manifest.compiler;
  json["name"] = manifest.name;
  json["architecture"] = manifest.architecture;
  json["fingerprint"] = manifest.fingerprint;
  json["target"]["triple"] = manifest.targetTriple;
  json["target"]["features"] = manifest.targetFeatures;
  json["options"] = Json::object();
  for (const auto &[key, value] : manifest.options)
    json["options"][key] = value;
  json["vocabulary_size"] = manifest.vocabularySize;
  json["max_sequence_length"] = manifest.maxSequenceLength;
  json["workspace"] = writeWorkspace(manifest.workspace);
  for (const ModelVersion &version : manifest.versions)
    json["versions"].push_back(writeVersion(version));
  json["caches"] = Json::array();
  for (const CacheParameters &cache : manifest.caches)
    json["caches"].push_back(writeCache(cache));
  json["weights"]["bytes"] = manifest.weightBytes;
  json["weights"]["xxh3_128"] = manifest.weightHash;
  json["bytes_per_token"] = manifest.bytesPerToken;
  if (manifest.worldSize != 1) {
    json["world"]["rank"] = manifest.rank;
    json["world"]["size"] = manifest.worldSize;
  }
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace llmir
