// Implements GGUFFile's look-ups and typed getters over what GGUFParser has validated.

#include "llmir/ModelFiles/GGUF.h"

#include "GGUFParser.h"

#include <cstring>
#include <limits>

namespace llmir {

int64_t GGUFTensor::numRows() const {
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i)
    rows *= shape[i];
  return rows;
}

StatusOr<GGUFFile> GGUFFile::open(const std::string &path) {
  StatusOr<MappedFile> mapping = MappedFile::open(path);
  if (!mapping)
    return mapping.status();
  StatusOr<GGUFFile> file = parse(mapping->bytes(), path);
  if (file)
    file->mapping_ = *std::move(mapping);
  return file;
}

StatusOr<GGUFFile> GGUFFile::parse(std::span<const uint8_t> bytes, const std::string &name) {
  GGUFFile file;
  file.path_ = name;
  if (Status status = GGUFParser(bytes, file).parse(); !status.isOk())
    return status.withContext(name);
  return file;
}

const GGUFTensor *GGUFFile::findTensor(std::string_view name) const {
  auto found = tensorIndex_.find(name);
  return found == tensorIndex_.end() ? nullptr : &tensors_[found->second];
}

const GGUFValue *GGUFFile::findValue(std::string_view key) const {
  auto found = valueIndex_.find(key);
  return found == valueIndex_.end() ? nullptr : &values_[found->second];
}

StatusOr<const GGUFValue *> GGUFFile::require(std::string_view key) const {
  if (const GGUFValue *value = findValue(key))
    return value;
  return notFound(path_ + ": expected metadata key '" + std::string(key) +
                  "', but it is not there");
}

Status GGUFFile::expectKind(const GGUFValue &value, std::string_view expected) const {
  return invalidArgument(path_ + ": metadata key '" + std::string(value.key) + "': expected " +
                         std::string(expected) + ", but got " +
                         (value.isArray ? "an array of " : "a value of type ") +
                         std::string(nameOf(value.type)));
}

/// `get(key)`, or the fallback when there is no such key.
template <typename T, typename Get>
StatusOr<T> GGUFFile::getOr(std::string_view key, T fallback, Get get) const {
  if (!has(key))
    return fallback;
  return (this->*get)(key);
}

template <typename T> static T load(const uint8_t *bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

static bool isInteger(GGUFValueType type) {
  switch (type) {
  case GGUFValueType::Float32:
  case GGUFValueType::Float64:
  case GGUFValueType::Bool:
  case GGUFValueType::String:
  case GGUFValueType::Array:
    return false;
  default:
    return true;
  }
}

static bool isFloat(GGUFValueType type) {
  return type == GGUFValueType::Float32 || type == GGUFValueType::Float64;
}

/// The integer at `bytes`; u64 values above INT64_MAX wrap and are told apart by the type.
static int64_t loadInteger(GGUFValueType type, const uint8_t *bytes) {
  switch (type) {
  case GGUFValueType::UInt8:
    return load<uint8_t>(bytes);
  case GGUFValueType::Int8:
    return load<int8_t>(bytes);
  case GGUFValueType::UInt16:
    return load<uint16_t>(bytes);
  case GGUFValueType::Int16:
    return load<int16_t>(bytes);
  case GGUFValueType::UInt32:
    return load<uint32_t>(bytes);
  case GGUFValueType::Int32:
    return load<int32_t>(bytes);
  default:
    return load<int64_t>(bytes);
  }
}

static double loadFloat(GGUFValueType type, const uint8_t *bytes) {
  if (type == GGUFValueType::Float32)
    return static_cast<double>(load<float>(bytes));
  return load<double>(bytes);
}

StatusOr<std::string_view> GGUFFile::getString(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if ((*value)->isArray || (*value)->type != GGUFValueType::String)
    return expectKind(**value, "a string");
  std::span<const uint8_t> text = (*value)->bytes.subspan(8);
  return std::string_view(reinterpret_cast<const char *>(text.data()), text.size());
}

StatusOr<std::string_view> GGUFFile::getString(std::string_view key,
                                               std::string_view fallback) const {
  using Get = StatusOr<std::string_view> (GGUFFile::*)(std::string_view) const;
  return getOr(key, fallback, static_cast<Get>(&GGUFFile::getString));
}

StatusOr<uint64_t> GGUFFile::getUInt(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if ((*value)->isArray || !isInteger((*value)->type))
    return expectKind(**value, "an integer");
  int64_t integer = loadInteger((*value)->type, (*value)->bytes.data());
  if (integer < 0 && (*value)->type != GGUFValueType::UInt64)
    return invalidArgument(path_ + ": metadata key '" + std::string(key) +
                           "': expected a non-negative integer, but got " +
                           std::to_string(integer));
  return static_cast<uint64_t>(integer);
}

StatusOr<uint64_t> GGUFFile::getUInt(std::string_view key, uint64_t fallback) const {
  using Get = StatusOr<uint64_t> (GGUFFile::*)(std::string_view) const;
  return getOr(key, fallback, static_cast<Get>(&GGUFFile::getUInt));
}

StatusOr<double> GGUFFile::getFloat(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if ((*value)->isArray || !isFloat((*value)->type))
    return expectKind(**value, "a floating-point number");
  return loadFloat((*value)->type, (*value)->bytes.data());
}

StatusOr<double> GGUFFile::getFloat(std::string_view key, double fallback) const {
  using Get = StatusOr<double> (GGUFFile::*)(std::string_view) const;
  return getOr(key, fallback, static_cast<Get>(&GGUFFile::getFloat));
}

StatusOr<bool> GGUFFile::getBool(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if ((*value)->isArray || (*value)->type != GGUFValueType::Bool)
    return expectKind(**value, "a bool");
  return (*value)->bytes[0] != 0;
}

StatusOr<bool> GGUFFile::getBool(std::string_view key, bool fallback) const {
  using Get = StatusOr<bool> (GGUFFile::*)(std::string_view) const;
  return getOr(key, fallback, static_cast<Get>(&GGUFFile::getBool));
}

StatusOr<std::vector<std::string_view>> GGUFFile::getStringArray(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if (!(*value)->isArray || (*value)->type != GGUFValueType::String)
    return expectKind(**value, "an array of strings");
  std::vector<std::string_view> texts;
  texts.reserve(static_cast<size_t>((*value)->count));
  const uint8_t *next = (*value)->bytes.data();
  for (uint64_t i = 0; i < (*value)->count; ++i) {
    size_t length = static_cast<size_t>(load<uint64_t>(next));
    texts.emplace_back(reinterpret_cast<const char *>(next) + 8, length);
    next += 8 + length;
  }
  return texts;
}

StatusOr<std::vector<int64_t>> GGUFFile::getIntArray(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if (!(*value)->isArray || !isInteger((*value)->type))
    return expectKind(**value, "an array of integers");
  std::vector<int64_t> integers;
  integers.reserve(static_cast<size_t>((*value)->count));
  size_t stride = sizeOfScalar((*value)->type);
  for (size_t i = 0; i < (*value)->count; ++i) {
    int64_t integer = loadInteger((*value)->type, (*value)->bytes.data() + i * stride);
    if (integer < 0 && (*value)->type == GGUFValueType::UInt64)
      return invalidArgument(path_ + ": metadata key '" + std::string(key) +
                             "': expected element " + std::to_string(i) +
                             " to fit in 63 bits, but got " +
                             std::to_string(static_cast<uint64_t>(integer)));
    integers.push_back(integer);
  }
  return integers;
}

StatusOr<std::vector<float>> GGUFFile::getFloatArray(std::string_view key) const {
  StatusOr<const GGUFValue *> value = require(key);
  if (!value)
    return value.status();
  if (!(*value)->isArray || !isFloat((*value)->type))
    return expectKind(**value, "an array of floating-point numbers");
  std::vector<float> numbers;
  numbers.reserve(static_cast<size_t>((*value)->count));
  size_t stride = sizeOfScalar((*value)->type);
  for (size_t i = 0; i < (*value)->count; ++i)
    numbers.push_back(
        static_cast<float>(loadFloat((*value)->type, (*value)->bytes.data() + i * stride)));
  return numbers;
}

std::vector<uint8_t> GGUFFile::copyMetadata() const {
  std::vector<uint8_t> copy(metadata_.begin(), metadata_.end());
  constexpr size_t tensorCountOffset = 8;
  std::memset(copy.data() + tensorCountOffset, 0, sizeof(uint64_t));
  return copy;
}

Status dequantizeRow(const GGUFTensor &tensor, int64_t row, std::span<float> values) {
  if (row < 0 || row >= tensor.numRows())
    return invalidArgument("tensor '" + tensor.name + "': expected a row below " +
                           std::to_string(tensor.numRows()) + ", but got " + std::to_string(row));
  if (values.size() != static_cast<size_t>(tensor.numColumns()))
    return invalidArgument("tensor '" + tensor.name + "': expected room for " +
                           std::to_string(tensor.numColumns()) + " values, but got " +
                           std::to_string(values.size()));
  const GGUFTypeInfo &info = describe(tensor.type);
  size_t rowBytes = static_cast<size_t>(tensor.numColumns() / info.elements * info.bytes);
  return dequantizeBlocks(tensor.type,
                          tensor.data.subspan(static_cast<size_t>(row) * rowBytes, rowBytes),
                          values)
      .withContext("tensor '" + tensor.name + "'");
}

} // namespace llmir
