// ELFAppender: a linked ELF file with more sections after its end. The new sections are not loaded;
// they are found by name. Nothing that the linker wrote moves.

#ifndef LLMIR_COMPILER_ELFAPPENDER_H
#define LLMIR_COMPILER_ELFAPPENDER_H

#include "llmir/Base/AtomicFile.h"
#include "llmir/Base/Status.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/BinaryFormat/ELF.h"
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mlir::llm {

/// Writes to an AtomicFile, which must outlive it and be empty: first a copy of a linked file, then
/// section after section, then a new table of section headers. 64-bit little-endian files only.
class ELFAppender {
public:
  /// Checks `linked`, the bytes of a linked file, and copies them to `output`. DataLoss, with the
  /// field, when they are not an ELF file with a section table.
  static ::llmir::StatusOr<ELFAppender> create(::llmir::AtomicFile &output,
                                               std::span<const uint8_t> linked);

  /// Starts a section at a multiple of `alignment`, a power of two; ends the one before.
  ::llmir::Status beginSection(llvm::StringRef name, uint64_t alignment);
  /// Appends bytes to the section.
  ::llmir::Status write(std::span<const uint8_t> bytes);
  /// Bytes of the section so far.
  uint64_t sectionSize() const;

  /// Writes the section table and points the file's header at it. To be called once, last; the
  /// AtomicFile is left to be committed.
  ::llmir::Status finish();

private:
  explicit ELFAppender(::llmir::AtomicFile &output) : output(&output) {}

  ::llmir::Status readTable(std::span<const uint8_t> linked);
  void endSection();

  ::llmir::AtomicFile *output;
  llvm::ELF::Elf64_Ehdr header = {};
  std::vector<llvm::ELF::Elf64_Shdr> sections;
  std::string names; ///< The section name table, old names first.
  bool inSection = false;
};

} // namespace mlir::llm

#endif // LLMIR_COMPILER_ELFAPPENDER_H
