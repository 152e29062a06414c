// GGUFFile: reads a GGUF version 3 model file. It trusts no count, length or offset in it: whatever
// is wrong ends in a Status that names the file and the field. It knows the format only; what the
// keys mean is the business of the importer and of the tokenizer.

#ifndef LLMIR_MODELFILES_GGUF_H
#define LLMIR_MODELFILES_GGUF_H

#include "llmir/Base/MappedFile.h"
#include "llmir/Base/Status.h"
#include "llmir/ModelFiles/GGUFTypes.h"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace llmir {

/// A tensor of the file. `shape` is outermost first ([rows, cols] of a matrix), 1 to 4 dimensions,
/// each at least 1; the innermost one is a multiple of the type's block. `data` has exactly the
/// tensor's bytes, aligned to the file's alignment (32 by default) within the file.
struct GGUFTensor {
  std::string name;
  GGUFType type;
  std::vector<int64_t> shape;
  std::span<const uint8_t> data;

  /// Length of the innermost dimension.
  int64_t numColumns() const { return shape.back(); }
  /// Product of the other dimensions.
  int64_t numRows() const;
};

/// The type number of a metadata value.
enum class GGUFValueType : uint32_t {
  UInt8 = 0,
  Int8 = 1,
  UInt16 = 2,
  Int16 = 3,
  UInt32 = 4,
  Int32 = 5,
  Float32 = 6,
  Bool = 7,
  String = 8,
  Array = 9,
  UInt64 = 10,
  Int64 = 11,
  Float64 = 12,
};

/// A metadata entry as stored. For an array, `type` is that of its elements and `count` their
/// number.
struct GGUFValue {
  std::string_view key;
  GGUFValueType type;
  bool isArray;
  uint64_t count;
  std::span<const uint8_t> bytes;
};

/// An opened, completely validated GGUF file. Immutable and safe to share between threads; views
/// and spans it returns live as long as the object (open) or the caller's bytes (parse). The
/// getters return NotFound for an absent key and InvalidArgument for a value of another kind; the
/// overloads with `fallback` return it for an absent key, and still refuse another kind.
class GGUFFile {
public:
  /// Maps and validates a file.
  static StatusOr<GGUFFile> open(const std::string &path);
  /// Validates bytes in memory, which must outlive the object; `name` stands for the path in
  /// messages.
  static StatusOr<GGUFFile> parse(std::span<const uint8_t> bytes, const std::string &name);

  /// The path, or the name given to parse.
  const std::string &path() const { return path_; }

  std::span<const GGUFTensor> tensors() const { return tensors_; }
  /// Null when there is none of that name.
  const GGUFTensor *findTensor(std::string_view name) const;

  std::span<const GGUFValue> values() const { return values_; }
  /// Null when there is none of that key.
  const GGUFValue *findValue(std::string_view key) const;
  bool has(std::string_view key) const { return findValue(key) != nullptr; }

  StatusOr<std::string_view> getString(std::string_view key) const;
  StatusOr<std::string_view> getString(std::string_view key, std::string_view fallback) const;
  /// Any integer type; a negative value is refused.
  StatusOr<uint64_t> getUInt(std::string_view key) const;
  StatusOr<uint64_t> getUInt(std::string_view key, uint64_t fallback) const;
  /// f32 or f64.
  StatusOr<double> getFloat(std::string_view key) const;
  StatusOr<double> getFloat(std::string_view key, double fallback) const;
  StatusOr<bool> getBool(std::string_view key) const;
  StatusOr<bool> getBool(std::string_view key, bool fallback) const;

  /// Views into the file; not necessarily UTF-8.
  StatusOr<std::vector<std::string_view>> getStringArray(std::string_view key) const;
  /// Elements of any integer type that fit.
  StatusOr<std::vector<int64_t>> getIntArray(std::string_view key) const;
  /// Elements of f32 or f64.
  StatusOr<std::vector<float>> getFloatArray(std::string_view key) const;

  /// The header and all metadata entries: the file's bytes from 0 to the end of the last entry.
  std::span<const uint8_t> metadataBytes() const { return metadata_; }
  /// A GGUF file with the same metadata and no tensors: the artifact's tokenizer section.
  std::vector<uint8_t> copyMetadata() const;

private:
  friend class GGUFParser;
  GGUFFile() = default;

  Status expectKind(const GGUFValue &value, std::string_view expected) const;
  template <typename T, typename Get>
  StatusOr<T> getOr(std::string_view key, T fallback, Get get) const;
  StatusOr<const GGUFValue *> require(std::string_view key) const;

  std::optional<MappedFile> mapping_;
  std::string path_;
  std::vector<GGUFTensor> tensors_;
  std::vector<GGUFValue> values_;
  std::unordered_map<std::string_view, size_t> tensorIndex_; // Keys view the file, not tensors_.
  std::unordered_map<std::string_view, size_t> valueIndex_;
  std::span<const uint8_t> metadata_;
};

/// Decodes one row of a tensor (its outer dimensions count as one) into `values`, which has
/// numColumns() elements. InvalidArgument for a row or size out of range, Unimplemented for a type
/// that isSupportedGGUFType refuses.
Status dequantizeRow(const GGUFTensor &tensor, int64_t row, std::span<float> values);

} // namespace llmir

#endif // LLMIR_MODELFILES_GGUF_H
