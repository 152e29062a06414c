// GGUFParser: the one pass over a GGUF file's header that fills a GGUFFile. Internal to ModelFiles.

#ifndef LLMIR_LIB_MODELFILES_GGUFPARSER_H
#define LLMIR_LIB_MODELFILES_GGUFPARSER_H

#include "llmir/ModelFiles/GGUF.h"

#include <cstring>

namespace llmir {

/// Bytes of a scalar metadata value; 0 for strings and arrays.
size_t sizeOfScalar(GGUFValueType type);
/// "u32", "string" and so on.
std::string_view nameOf(GGUFValueType type);

/// Walks the header of `bytes` from the front. Each step checks that what it reads lies within the
/// bytes; position_ never exceeds bytes_.size().
class GGUFParser {
public:
  GGUFParser(std::span<const uint8_t> bytes, GGUFFile &file) : bytes_(bytes), file_(file) {}

  Status parse();

private:
  /// Where a tensor's data is, as the file says it.
  struct Placement {
    uint64_t offset;
    uint64_t bytes;
  };

  size_t remaining() const { return bytes_.size() - position_; }
  Status truncated(std::string_view field, uint64_t needed) const;
  template <typename T> StatusOr<T> read(std::string_view field);
  StatusOr<std::string_view> readString(std::string_view field);

  Status readHeader();
  Status readValue(uint64_t index);
  Status readPayload(GGUFValue &value);
  Status readAlignment();
  Status readTensor(uint64_t index);
  Status readShape(GGUFTensor &tensor, const std::string &what);
  StatusOr<uint64_t> sizeOfData(const GGUFTensor &tensor, const std::string &what) const;
  Status placeTensors();
  Status checkOverlaps(uint64_t dataStart) const;

  std::span<const uint8_t> bytes_;
  GGUFFile &file_;
  size_t position_ = 0;
  uint64_t numTensors_ = 0;
  uint64_t numValues_ = 0;
  uint64_t alignment_ = 32;
  std::vector<Placement> placements_;
};

} // namespace llmir

#endif // LLMIR_LIB_MODELFILES_GGUFPARSER_H
