// Appends sections by the ELF specification: section headers and their name table may lie anywhere
// in the file, so a longer pair of both goes to the end and the file's header points there.

#include "llmir/Compiler/ELFAppender.h"
#include <cstring>

using namespace mlir::llm;
using namespace llvm::ELF;
using ::llmir::AtomicFile;
using ::llmir::dataLoss;
using ::llmir::Status;
using ::llmir::StatusOr;

/// Whether [offset, offset + size) lies in a file of `fileSize` bytes.
static bool inFile(uint64_t offset, uint64_t size, uint64_t fileSize) {
  return offset <= fileSize && size <= fileSize - offset;
}

template <typename T> static std::span<const uint8_t> asBytes(const T *values, size_t count) {
  return {reinterpret_cast<const uint8_t *>(values), count * sizeof(T)};
}

Status ELFAppender::readTable(std::span<const uint8_t> linked) {
  if (linked.size() < sizeof(header))
    return dataLoss("expected an ELF file of at least " + std::to_string(sizeof(header)) +
                    " bytes, but got " + std::to_string(linked.size()));
  std::memcpy(&header, linked.data(), sizeof(header));
  if (!header.checkMagic() || header.getFileClass() != ELFCLASS64 ||
      header.getDataEncoding() != ELFDATA2LSB)
    return dataLoss("expected a 64-bit little-endian ELF file");
  if (header.e_shnum == 0 || header.e_shentsize != sizeof(Elf64_Shdr) ||
      !inFile(header.e_shoff, uint64_t(header.e_shnum) * sizeof(Elf64_Shdr), linked.size()))
    return dataLoss("expected an ELF file with a section table, but got e_shoff " +
                    std::to_string(header.e_shoff) + ", e_shnum " + std::to_string(header.e_shnum) +
                    " in " + std::to_string(linked.size()) + " bytes");
  sections.resize(header.e_shnum);
  std::memcpy(sections.data(), linked.data() + header.e_shoff,
              sections.size() * sizeof(Elf64_Shdr));
  if (header.e_shstrndx >= sections.size())
    return dataLoss("expected e_shstrndx below " + std::to_string(sections.size()) + ", but got " +
                    std::to_string(header.e_shstrndx));
  const Elf64_Shdr &table = sections[header.e_shstrndx];
  if (!inFile(table.sh_offset, table.sh_size, linked.size()) || table.sh_size == 0)
    return dataLoss("the table of section names lies outside the file");
  names.assign(reinterpret_cast<const char *>(linked.data()) + table.sh_offset, table.sh_size);
  if (names.back() != '\0')
    names.push_back('\0');
  return Status::ok();
}

StatusOr<ELFAppender> ELFAppender::create(AtomicFile &output, std::span<const uint8_t> linked) {
  ELFAppender appender(output);
  LLMIR_RETURN_IF_ERROR(appender.readTable(linked));
  LLMIR_RETURN_IF_ERROR(output.write(linked));
  return appender;
}

Status ELFAppender::beginSection(llvm::StringRef name, uint64_t alignment) {
  endSection();
  if (sections.size() + 1 >= SHN_LORESERVE)
    return ::llmir::unimplemented("more than " + std::to_string(SHN_LORESERVE - 2) + " sections");
  LLMIR_RETURN_IF_ERROR(output->padTo(alignment));
  Elf64_Shdr section = {};
  section.sh_name = static_cast<uint32_t>(names.size());
  section.sh_type = SHT_PROGBITS;
  section.sh_offset = output->size();
  section.sh_addralign = alignment;
  names += name.str();
  names.push_back('\0');
  sections.push_back(section);
  inSection = true;
  return Status::ok();
}

Status ELFAppender::write(std::span<const uint8_t> bytes) {
  if (!inSection)
    return ::llmir::failedPrecondition("bytes written outside a section");
  return output->write(bytes);
}

uint64_t ELFAppender::sectionSize() const {
  return inSection ? output->size() - sections.back().sh_offset : 0;
}

void ELFAppender::endSection() {
  if (inSection)
    sections.back().sh_size = sectionSize();
  inSection = false;
}

Status ELFAppender::finish() {
  endSection();
  Elf64_Shdr &table = sections[header.e_shstrndx];
  table.sh_offset = output->size();
  table.sh_size = names.size();
  LLMIR_RETURN_IF_ERROR(output->write(std::string_view(names)));
  LLMIR_RETURN_IF_ERROR(output->padTo(alignof(Elf64_Shdr)));
  header.e_shoff = output->size();
  header.e_shnum = static_cast<uint16_t>(sections.size());
  LLMIR_RETURN_IF_ERROR(output->write(asBytes(sections.data(), sections.size())));
  return output->overwrite(0, asBytes(&header, 1));
}
