// ELFSections: finds sections by name in the bytes of a 64-bit little-endian ELF file, with every
// offset checked against the file, because an artifact may be truncated or hostile. It reads
// section headers only; the dynamic loader reads the rest.

#ifndef LLMIR_ENGINE_ELFSECTIONS_H
#define LLMIR_ENGINE_ELFSECTIONS_H

#include "llmir/Base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// One section: its name and where its bytes are in the file.
struct ELFSection {
  std::string name;
  uint64_t offset = 0;
  uint64_t size = 0;
};

/// The sections of one file, in the order of its table.
class ELFSections {
public:
  /// DataLoss, with the field, for bytes that are not such a file or point outside it.
  static StatusOr<ELFSections> read(std::span<const uint8_t> file);

  const std::vector<ELFSection> &sections() const { return sections_; }

  /// The section of that name; NotFound when there is none, DataLoss when there are two.
  StatusOr<ELFSection> find(std::string_view name) const;

private:
  std::vector<ELFSection> sections_;
};

} // namespace llmir

#endif // LLMIR_ENGINE_ELFSECTIONS_H
