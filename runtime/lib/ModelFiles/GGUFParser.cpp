// Parses and validates the header of a GGUF file: counts, metadata entries, tensor descriptions,
// and where each tensor's data lies. Nothing is allocated in proportion to a number that was not
// first compared with the bytes that are there.

#include "GGUFParser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <type_traits>

static_assert(std::endian::native == std::endian::little, "GGUF files are read in place");

namespace llmir {

/// The fewest bytes that a metadata entry (key length, type, one byte) and a tensor description
/// (name length, rank, one dimension, type, offset) can take.
static constexpr uint64_t minValueBytes = 8 + 4 + 1;
static constexpr uint64_t minTensorBytes = 8 + 4 + 8 + 4 + 8;
static constexpr uint64_t maxAlignment = 1 << 20;
static constexpr uint32_t maxRank = 4;

struct ValueTypeInfo {
  std::string_view name;
  size_t bytes;
};
/// Indexed by GGUFValueType.
static constexpr std::array<ValueTypeInfo, 13> valueTypes = {{{"u8", 1},
                                                              {"i8", 1},
                                                              {"u16", 2},
                                                              {"i16", 2},
                                                              {"u32", 4},
                                                              {"i32", 4},
                                                              {"f32", 4},
                                                              {"bool", 1},
                                                              {"string", 0},
                                                              {"array", 0},
                                                              {"u64", 8},
                                                              {"i64", 8},
                                                              {"f64", 8}}};

size_t sizeOfScalar(GGUFValueType type) { return valueTypes[static_cast<size_t>(type)].bytes; }
std::string_view nameOf(GGUFValueType type) { return valueTypes[static_cast<size_t>(type)].name; }

/// A name from the file as it may be printed: quoted, shortened, without control characters.
static std::string quote(std::string_view name) {
  std::string text = "'";
  for (char c : name.substr(0, 80))
    text += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return text + (name.size() > 80 ? "...'" : "'");
}

Status GGUFParser::truncated(std::string_view field, uint64_t needed) const {
  return dataLoss(std::string(field) + ": expected " + std::to_string(needed) +
                  " bytes at offset " + std::to_string(position_) + ", but the file has " +
                  std::to_string(remaining()) + " left");
}

template <typename T> StatusOr<T> GGUFParser::read(std::string_view field) {
  static_assert(std::is_trivially_copyable_v<T>);
  if (remaining() < sizeof(T))
    return truncated(field, sizeof(T));
  T value;
  std::memcpy(&value, bytes_.data() + position_, sizeof(T));
  position_ += sizeof(T);
  return value;
}

StatusOr<std::string_view> GGUFParser::readString(std::string_view field) {
  StatusOr<uint64_t> length = read<uint64_t>(field);
  if (!length)
    return length.status();
  if (*length > remaining())
    return truncated(field, *length);
  std::string_view text(reinterpret_cast<const char *>(bytes_.data() + position_),
                        static_cast<size_t>(*length));
  position_ += text.size();
  return text;
}

Status GGUFParser::readHeader() {
  if (bytes_.size() < 4 || std::memcmp(bytes_.data(), "GGUF", 4) != 0)
    return dataLoss("magic: expected 'GGUF' at the start of the file");
  position_ = 4;
  StatusOr<uint32_t> version = read<uint32_t>("version");
  if (!version)
    return version.status();
  if (*version == 0x03000000u)
    return unimplemented("version: expected a little-endian file, but got a big-endian one");
  if (*version != 3)
    return unimplemented("version: expected GGUF version 3, but got " + std::to_string(*version));
  StatusOr<uint64_t> numTensors = read<uint64_t>("tensor count");
  if (!numTensors)
    return numTensors.status();
  StatusOr<uint64_t> numValues = read<uint64_t>("metadata count");
  if (!numValues)
    return numValues.status();
  numTensors_ = *numTensors;
  numValues_ = *numValues;
  if (numTensors_ > remaining() / minTensorBytes)
    return dataLoss("tensor count: expected at most " +
                    std::to_string(remaining() / minTensorBytes) + " in a file of " +
                    std::to_string(bytes_.size()) + " bytes, but got " +
                    std::to_string(numTensors_));
  if (numValues_ > remaining() / minValueBytes)
    return dataLoss("metadata count: expected at most " +
                    std::to_string(remaining() / minValueBytes) + " in a file of " +
                    std::to_string(bytes_.size()) + " bytes, but got " +
                    std::to_string(numValues_));
  return Status::ok();
}

static StatusOr<GGUFValueType> toValueType(uint32_t number) {
  if (number >= valueTypes.size())
    return unimplemented("expected a value type from 0 to 12, but got " + std::to_string(number));
  return static_cast<GGUFValueType>(number);
}

/// Reads what follows an entry's type: an array's element type and count, then the elements.
Status GGUFParser::readPayload(GGUFValue &value) {
  if (value.type == GGUFValueType::Array) {
    StatusOr<uint32_t> elementNumber = read<uint32_t>("element type");
    if (!elementNumber)
      return elementNumber.status();
    StatusOr<GGUFValueType> elementType = toValueType(*elementNumber);
    if (!elementType)
      return elementType.status();
    if (*elementType == GGUFValueType::Array)
      return unimplemented("expected an array of scalars or strings, but got an array of arrays");
    StatusOr<uint64_t> count = read<uint64_t>("element count");
    if (!count)
      return count.status();
    value.type = *elementType;
    value.isArray = true;
    value.count = *count;
  }
  size_t start = position_;
  uint64_t elementBytes = value.type == GGUFValueType::String ? 8 : sizeOfScalar(value.type);
  if (value.count > remaining() / elementBytes)
    return dataLoss("expected at most " + std::to_string(remaining() / elementBytes) + " " +
                    std::string(nameOf(value.type)) +
                    " elements in the rest of the file, but got " + std::to_string(value.count));
  if (value.type == GGUFValueType::String) {
    for (uint64_t i = 0; i < value.count; ++i)
      if (StatusOr<std::string_view> text = readString("string"); !text)
        return text.status();
  } else {
    position_ += static_cast<size_t>(value.count * elementBytes);
  }
  value.bytes = bytes_.subspan(start, position_ - start);
  if (value.type == GGUFValueType::Bool)
    for (uint8_t byte : value.bytes)
      if (byte > 1)
        return dataLoss("expected a bool of 0 or 1, but got " + std::to_string(byte));
  return Status::ok();
}

Status GGUFParser::readValue(uint64_t index) {
  std::string what = "metadata entry " + std::to_string(index);
  StatusOr<std::string_view> key = readString(what + ": key");
  if (!key)
    return key.status();
  what = "metadata key " + quote(*key);
  if (key->empty() || key->size() > 65535)
    return dataLoss(what + ": expected a key of 1 to 65535 bytes, but got " +
                    std::to_string(key->size()));
  StatusOr<uint32_t> number = read<uint32_t>(what + ": type");
  if (!number)
    return number.status();
  StatusOr<GGUFValueType> type = toValueType(*number);
  if (!type)
    return type.status().withContext(what);
  GGUFValue value = {*key, *type, false, 1, {}};
  LLMIR_RETURN_IF_ERROR(readPayload(value).withContext(what));
  if (!file_.valueIndex_.emplace(*key, file_.values_.size()).second)
    return dataLoss(what + ": expected each key once, but it is there twice");
  file_.values_.push_back(value);
  return Status::ok();
}

Status GGUFParser::readAlignment() {
  StatusOr<uint64_t> alignment = file_.getUInt("general.alignment", 32);
  if (!alignment)
    return alignment.status();
  if (!std::has_single_bit(*alignment) || *alignment < 8 || *alignment > maxAlignment)
    return dataLoss("metadata key 'general.alignment': expected a power of two from 8 to " +
                    std::to_string(maxAlignment) + ", but got " + std::to_string(*alignment));
  alignment_ = *alignment;
  return Status::ok();
}

Status GGUFParser::readShape(GGUFTensor &tensor, const std::string &what) {
  StatusOr<uint32_t> rank = read<uint32_t>(what + ": rank");
  if (!rank)
    return rank.status();
  if (*rank < 1 || *rank > maxRank)
    return dataLoss(what + ": expected rank 1 to 4, but got " + std::to_string(*rank));
  for (uint32_t i = 0; i < *rank; ++i) {
    StatusOr<uint64_t> size = read<uint64_t>(what + ": shape");
    if (!size)
      return size.status();
    if (*size < 1 || *size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return dataLoss(what + ": expected dimension " + std::to_string(i) +
                      " to be positive, but got " + std::to_string(*size));
    tensor.shape.push_back(static_cast<int64_t>(*size));
  }
  std::reverse(tensor.shape.begin(), tensor.shape.end());
  return Status::ok();
}

/// The bytes that the tensor's shape and type make; refuses products that do not fit.
StatusOr<uint64_t> GGUFParser::sizeOfData(const GGUFTensor &tensor, const std::string &what) const {
  const GGUFTypeInfo &info = describe(tensor.type);
  if (tensor.shape.back() % info.elements != 0)
    return dataLoss(what + ": expected rows of a multiple of " + std::to_string(info.elements) +
                    " elements for type " + std::string(info.name) + ", but got " +
                    std::to_string(tensor.shape.back()));
  uint64_t bytes = static_cast<uint64_t>(info.bytes);
  uint64_t factors[maxRank] = {static_cast<uint64_t>(tensor.shape.back() / info.elements), 1, 1, 1};
  for (size_t i = 0; i + 1 < tensor.shape.size(); ++i)
    factors[i + 1] = static_cast<uint64_t>(tensor.shape[i]);
  for (uint64_t factor : factors)
    if (__builtin_mul_overflow(bytes, factor, &bytes) || bytes > bytes_.size())
      return dataLoss(what + ": expected data within the file's " + std::to_string(bytes_.size()) +
                      " bytes, but its shape and type need more");
  return bytes;
}

Status GGUFParser::readTensor(uint64_t index) {
  std::string what = "tensor " + std::to_string(index);
  StatusOr<std::string_view> name = readString(what + ": name");
  if (!name)
    return name.status();
  what = "tensor " + quote(*name);
  GGUFTensor tensor = {std::string(*name), GGUFType::F32, {}, {}};
  LLMIR_RETURN_IF_ERROR(readShape(tensor, what));
  StatusOr<uint32_t> number = read<uint32_t>(what + ": type");
  if (!number)
    return number.status();
  const GGUFTypeInfo *info = findGGUFType(*number);
  if (!info)
    return unimplemented(what + ": expected a known tensor type, but got type number " +
                         std::to_string(*number));
  tensor.type = info->type;
  StatusOr<uint64_t> offset = read<uint64_t>(what + ": offset");
  if (!offset)
    return offset.status();
  if (*offset % alignment_ != 0)
    return dataLoss(what + ": expected an offset that is a multiple of " +
                    std::to_string(alignment_) + ", but got " + std::to_string(*offset));
  StatusOr<uint64_t> bytes = sizeOfData(tensor, what);
  if (!bytes)
    return bytes.status();
  if (!file_.tensorIndex_.emplace(*name, file_.tensors_.size()).second)
    return dataLoss(what + ": expected each tensor once, but it is there twice");
  file_.tensors_.push_back(std::move(tensor));
  placements_.push_back({*offset, *bytes});
  return Status::ok();
}

Status GGUFParser::placeTensors() {
  uint64_t dataStart = (position_ + alignment_ - 1) / alignment_ * alignment_;
  for (size_t i = 0; i < placements_.size(); ++i) {
    auto [offset, bytes] = placements_[i];
    uint64_t available = dataStart <= bytes_.size() ? bytes_.size() - dataStart : 0;
    if (offset > available || bytes > available - offset)
      return dataLoss("tensor " + quote(file_.tensors_[i].name) + ": expected " +
                      std::to_string(bytes) + " bytes at offset " + std::to_string(offset) +
                      " of the data, but the file has " + std::to_string(available));
    file_.tensors_[i].data =
        bytes_.subspan(static_cast<size_t>(dataStart + offset), static_cast<size_t>(bytes));
  }
  return checkOverlaps(dataStart);
}

Status GGUFParser::checkOverlaps(uint64_t dataStart) const {
  std::vector<size_t> order(placements_.size());
  for (size_t i = 0; i < order.size(); ++i)
    order[i] = i;
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return placements_[a].offset < placements_[b].offset; });
  for (size_t i = 1; i < order.size(); ++i) {
    const Placement &previous = placements_[order[i - 1]];
    if (previous.offset + previous.bytes > placements_[order[i]].offset)
      return dataLoss("tensor " + quote(file_.tensors_[order[i]].name) +
                      ": expected data of its own, but it overlaps that of " +
                      quote(file_.tensors_[order[i - 1]].name) + " at offset " +
                      std::to_string(dataStart + placements_[order[i]].offset));
  }
  return Status::ok();
}

Status GGUFParser::parse() {
  LLMIR_RETURN_IF_ERROR(readHeader());
  for (uint64_t i = 0; i < numValues_; ++i)
    LLMIR_RETURN_IF_ERROR(readValue(i));
  file_.metadata_ = bytes_.first(position_);
  LLMIR_RETURN_IF_ERROR(readAlignment());
  for (uint64_t i = 0; i < numTensors_; ++i)
    LLMIR_RETURN_IF_ERROR(readTensor(i));
  return placeTensors();
}

} // namespace llmir
