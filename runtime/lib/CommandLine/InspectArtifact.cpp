// Prints a compiled model: its manifest and its sections.

#include "llmir/CommandLine/InspectCommand.h"

#include <nlohmann/json.hpp>

namespace llmir {

static void appendField(std::string &text, const char *name, const std::string &value) {
  std::string padded = name;
  padded.resize(22, ' ');
  text += "  " + padded + value + "\n";
}

static std::string describeCache(const CacheParameters &cache) {
  return std::to_string(cache.numLayers) + " layers, " + std::to_string(cache.numKVHeads) +
         " KV heads, keys " + std::to_string(cache.keyHeadDim) + " x " +
         elementTypeName(cache.keyType) + ", values " + std::to_string(cache.valueHeadDim) + " x " +
         elementTypeName(cache.valueType) + ", blocks of " + std::to_string(cache.blockSize) +
         " tokens, up to " + std::to_string(cache.maxSeqLen) + " tokens a sequence";
}

static std::string describeWorkspace(const WorkspaceContract &workspace) {
  return std::to_string(workspace.fixed) + " bytes + " + std::to_string(workspace.perToken) +
         " a token + " + std::to_string(workspace.perSequence) + " a sequence + " +
         std::to_string(workspace.perRow) + " a row + " + std::to_string(workspace.perWorker) +
         " a worker";
}

static std::string joinFeatures(const std::vector<std::string> &features) {
  std::string text;
  for (const std::string &feature : features)
    text += (text.empty() ? "" : " ") + feature;
  return text;
}

std::string describeArtifact(const Manifest &manifest, std::span<const ELFSection> sections) {
  std::string text = "compiled model\n";
  appendField(text, "name", manifest.name);
  appendField(text, "architecture", manifest.architecture);
  appendField(text, "compiler", manifest.compiler);
  appendField(text, "fingerprint", manifest.fingerprint);
  appendField(text, "ABI version", std::to_string(manifest.abiVersion));
  appendField(text, "target", manifest.targetTriple);
  appendField(text, "target features", joinFeatures(manifest.targetFeatures));
  for (const ModelVersion &version : manifest.versions)
    appendField(text, "version", version.level + " (" + joinFeatures(version.features) + ")");
  for (const auto &[name, value] : manifest.options)
    appendField(text, ("option " + name).c_str(), value);
  appendField(text, "vocabulary size", std::to_string(manifest.vocabularySize));
  appendField(text, "max sequence length", std::to_string(manifest.maxSequenceLength));
  appendField(text, "workspace", describeWorkspace(manifest.workspace));
  for (const CacheParameters &cache : manifest.caches)
    appendField(text, "KV cache", describeCache(cache));
  appendField(text, "weights",
              std::to_string(manifest.weightBytes) + " bytes, xxh3_128 " + manifest.weightHash);
  appendField(text, "read per token", std::to_string(manifest.bytesPerToken) + " bytes of weights");
  text += "\nsections\n";
  for (const ELFSection &section : sections)
    if (!section.name.empty())
      appendField(text, section.name.c_str(),
                  std::to_string(section.size) + " bytes at " + std::to_string(section.offset));
  return text;
}

std::string describeArtifactAsJSON(const Manifest &manifest, std::span<const ELFSection> sections) {
  nlohmann::ordered_json json;
  json["kind"] = "compiled model";
  json["manifest"] = nlohmann::ordered_json::parse(formatManifest(manifest), nullptr, false);
  for (const ELFSection &section : sections)
    if (!section.name.empty())
      json["sections"].push_back(
          {{"name", section.name}, {"offset", section.offset}, {"bytes", section.size}});
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace llmir
