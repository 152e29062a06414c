// Prints a checkpoint: metadata, tensors, totals by type.

#include "llmir/CommandLine/InspectCommand.h"

#include <algorithm>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>

namespace llmir {

using Json = nlohmann::ordered_json;

/// Elements of an array that are shown.
static constexpr size_t maxElements = 6;

static std::string dump(const Json &json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

template <typename T> static Json loadScalar(const GGUFValue &value) {
  T scalar;
  std::memcpy(&scalar, value.bytes.data(), sizeof scalar);
  return scalar;
}

static Json scalarToJson(const GGUFFile &file, const GGUFValue &value) {
  switch (value.type) {
  case GGUFValueType::UInt8:
    return loadScalar<uint8_t>(value);
  case GGUFValueType::Int8:
    return loadScalar<int8_t>(value);
  case GGUFValueType::UInt16:
    return loadScalar<uint16_t>(value);
  case GGUFValueType::Int16:
    return loadScalar<int16_t>(value);
  case GGUFValueType::UInt32:
    return loadScalar<uint32_t>(value);
  case GGUFValueType::Int32:
    return loadScalar<int32_t>(value);
  case GGUFValueType::Float32:
    return loadScalar<float>(value);
  case GGUFValueType::UInt64:
    return loadScalar<uint64_t>(value);
  case GGUFValueType::Int64:
    return loadScalar<int64_t>(value);
  case GGUFValueType::Float64:
    return loadScalar<double>(value);
  case GGUFValueType::Bool:
    return loadScalar<uint8_t>(value) != 0;
  case GGUFValueType::String:
    if (StatusOr<std::string_view> text = file.getString(value.key))
      return std::string(*text);
    return nullptr;
  case GGUFValueType::Array:
    break;
  }
  return nullptr;
}

/// The first elements of an array; null for element types without a reader.
static Json arrayHead(const GGUFFile &file, const GGUFValue &value) {
  Json head = Json::array();
  auto append = [&](const auto &elements) {
    for (size_t i = 0; i < elements.size() && i < maxElements; ++i)
      head.push_back(elements[i]);
    return head;
  };
  if (auto strings = file.getStringArray(value.key))
    return append(*strings);
  if (auto integers = file.getIntArray(value.key))
    return append(*integers);
  if (auto floats = file.getFloatArray(value.key))
    return append(*floats);
  return nullptr;
}

static Json valueToJson(const GGUFFile &file, const GGUFValue &value) {
  if (!value.isArray)
    return scalarToJson(file, value);
  return Json{{"count", value.count}, {"first", arrayHead(file, value)}};
}

/// A value on one line of a table.
static std::string valueToText(const GGUFFile &file, const GGUFValue &value) {
  constexpr size_t maxLength = 100;
  std::string text = value.isArray
                         ? std::to_string(value.count) + " elements " + dump(arrayHead(file, value))
                         : dump(scalarToJson(file, value));
  if (text.size() > maxLength) {
    size_t end = maxLength;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80)
      --end;
    text = text.substr(0, end) + "… (" + std::to_string(text.size()) + " bytes)";
  }
  return text;
}

static std::string shapeToText(const GGUFTensor &tensor) {
  std::string text;
  for (int64_t size : tensor.shape)
    text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

namespace {
struct Total {
  int64_t tensors = 0;
  int64_t elements = 0;
  int64_t bytes = 0;

  void add(const GGUFTensor &tensor) {
    ++tensors;
    elements += tensor.numRows() * tensor.numColumns();
    bytes += static_cast<int64_t>(tensor.data.size());
  }
};
} // namespace

static std::map<std::string, Total> totalsByType(const GGUFFile &file) {
  std::map<std::string, Total> totals;
  for (const GGUFTensor &tensor : file.tensors())
    totals[std::string(describe(tensor.type).name)].add(tensor);
  return totals;
}

static std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string describeGGUF(const GGUFFile &file) {
  size_t keyWidth = 0;
  for (const GGUFValue &value : file.values())
    keyWidth = std::max(keyWidth, value.key.size());
  size_t nameWidth = 0;
  for (const GGUFTensor &tensor : file.tensors())
    nameWidth = std::max(nameWidth, tensor.name.size());

  std::string text = file.path() + ": GGUF checkpoint\n\nmetadata\n";
  for (const GGUFValue &value : file.values())
    text +=
        "  " + padded(std::string(value.key), keyWidth) + "  " + valueToText(file, value) + "\n";
  text += "\ntensors\n";
  for (const GGUFTensor &tensor : file.tensors())
    text += "  " + padded(tensor.name, nameWidth) + "  " +
            padded(std::string(describe(tensor.type).name), 5) + " " +
            padded(shapeToText(tensor), 14) + " " + std::to_string(tensor.data.size()) + " bytes\n";
  text += "\ntotals\n";
  Total all;
  char line[128];
  auto appendTotal = [&](const std::string &name, const Total &total) {
    std::snprintf(line, sizeof line,
                  "  %-5s %5" PRId64 " tensors %14" PRId64 " elements %14" PRId64 " bytes\n",
                  name.c_str(), total.tensors, total.elements, total.bytes);
    text += line;
  };
  for (const auto &[name, total] : totalsByType(file)) {
    appendTotal(name, total);
    all.tensors += total.tensors;
    all.elements += total.elements;
    all.bytes += total.bytes;
  }
  appendTotal("all", all);
  return text;
}

std::string describeGGUFAsJSON(const GGUFFile &file) {
  Json json;
  json["path"] = file.path();
  json["kind"] = "gguf";
  Json &metadata = json["metadata"] = Json::object();
  for (const GGUFValue &value : file.values())
    metadata[std::string(value.key)] = valueToJson(file, value);
  Json &tensors = json["tensors"] = Json::array();
  for (const GGUFTensor &tensor : file.tensors())
    tensors.push_back({{"name", tensor.name},
                       {"type", describe(tensor.type).name},
                       {"shape", tensor.shape},
                       {"bytes", tensor.data.size()}});
  Json &totals = json["totals"] = Json::object();
  for (const auto &[name, total] : totalsByType(file))
    totals[name] = {
        {"tensors", total.tensors}, {"elements", total.elements}, {"bytes", total.bytes}};
  return dump(json) + "\n";
}

} // namespace llmir
