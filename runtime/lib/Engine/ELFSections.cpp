// ELFSections: reads the ELF header and the section header table (System V ABI, chapter 4), copying
// each structure out, so that neither alignment nor size is taken on trust.

#include "llmir/Engine/ELFSections.h"

#include <elf.h>

#include <algorithm>
#include <cstring>

namespace llmir {

namespace {

using Bytes = std::span<const uint8_t>;

/// Whether [offset, offset + size) is inside a file of `fileSize` bytes.
bool isInside(uint64_t offset, uint64_t size, uint64_t fileSize) {
  return offset <= fileSize && size <= fileSize - offset;
}

Status outside(const std::string &what, uint64_t offset, uint64_t size, uint64_t fileSize) {
  return dataLoss(what + " at " + std::to_string(offset) + " with " + std::to_string(size) +
                  " bytes lies outside the file of " + std::to_string(fileSize) + " bytes");
}

template <typename T> T copyOut(Bytes file, uint64_t offset) {
  T result;
  std::memcpy(&result, file.data() + offset, sizeof(T));
  return result;
}

StatusOr<Elf64_Ehdr> readHeader(Bytes file) {
  if (file.size() < sizeof(Elf64_Ehdr))
    return dataLoss("expected an ELF file of at least " + std::to_string(sizeof(Elf64_Ehdr)) +
                    " bytes, but got " + std::to_string(file.size()));
  auto header = copyOut<Elf64_Ehdr>(file, 0);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
    return dataLoss("expected an ELF file, but its first four bytes are others");
  if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB)
    return dataLoss("expected a 64-bit little-endian ELF file, but got class " +
                    std::to_string(header.e_ident[EI_CLASS]) + " and data " +
                    std::to_string(header.e_ident[EI_DATA]));
  if (header.e_shoff == 0)
    return dataLoss("the ELF file has no section header table");
  if (header.e_shentsize != sizeof(Elf64_Shdr))
    return dataLoss("expected section headers of " + std::to_string(sizeof(Elf64_Shdr)) +
                    " bytes, but e_shentsize is " + std::to_string(header.e_shentsize));
  return header;
}

/// The table of headers; large counts are in its first entry, as the ABI says.
StatusOr<std::vector<Elf64_Shdr>> readTable(Bytes file, const Elf64_Ehdr &header,
                                            uint64_t &nameIndex) {
  if (!isInside(header.e_shoff, sizeof(Elf64_Shdr), file.size()))
    return outside("section header table", header.e_shoff, sizeof(Elf64_Shdr), file.size());
  auto first = copyOut<Elf64_Shdr>(file, header.e_shoff);
  uint64_t count = header.e_shnum != 0 ? header.e_shnum : first.sh_size;
  nameIndex = header.e_shstrndx != SHN_XINDEX ? header.e_shstrndx : first.sh_link;
  if (count > file.size() / sizeof(Elf64_Shdr) ||
      !isInside(header.e_shoff, count * sizeof(Elf64_Shdr), file.size()))
    return dataLoss("section header table of " + std::to_string(count) + " entries at " +
                    std::to_string(header.e_shoff) + " lies outside the file of " +
                    std::to_string(file.size()) + " bytes");
  if (nameIndex >= count)
    return dataLoss("expected the section of names to be one of " + std::to_string(count) +
                    ", but e_shstrndx is " + std::to_string(nameIndex));
  std::vector<Elf64_Shdr> table(count);
  std::memcpy(table.data(), file.data() + header.e_shoff, count * sizeof(Elf64_Shdr));
  return table;
}

} // namespace

StatusOr<ELFSections> ELFSections::read(Bytes file) {
  StatusOr<Elf64_Ehdr> header = readHeader(file);
  if (!header)
    return header.status();
  uint64_t nameIndex = 0;
  StatusOr<std::vector<Elf64_Shdr>> table = readTable(file, *header, nameIndex);
  if (!table)
    return table.status();
  const Elf64_Shdr &names = (*table)[nameIndex];
  if (!isInside(names.sh_offset, names.sh_size, file.size()))
    return outside("section of names", names.sh_offset, names.sh_size, file.size());
  Bytes nameBytes = file.subspan(names.sh_offset, names.sh_size);

  ELFSections result;
  result.sections_.reserve(table->size());
  for (const Elf64_Shdr &entry : *table) {
    if (entry.sh_type == SHT_NULL)
      continue;
    ELFSection section;
    section.offset = entry.sh_offset;
    section.size = entry.sh_type == SHT_NOBITS ? 0 : entry.sh_size;
    if (entry.sh_name >= nameBytes.size())
      return dataLoss("expected a section name below " + std::to_string(nameBytes.size()) +
                      ", but sh_name is " + std::to_string(entry.sh_name));
    auto begin = nameBytes.begin() + entry.sh_name;
    section.name.assign(begin, std::find(begin, nameBytes.end(), uint8_t(0)));
    if (entry.sh_type != SHT_NOBITS && !isInside(section.offset, section.size, file.size()))
      return outside("section '" + section.name + "'", section.offset, section.size, file.size());
    result.sections_.push_back(std::move(section));
  }
  return result;
}

StatusOr<ELFSection> ELFSections::find(std::string_view name) const {
  auto matches = [name](const ELFSection &section) { return section.name == name; };
  auto found = std::find_if(sections_.begin(), sections_.end(), matches);
  if (found == sections_.end())
    return notFound("no section '" + std::string(name) + "'");
  if (std::find_if(found + 1, sections_.end(), matches) != sections_.end())
    return dataLoss("expected one section '" + std::string(name) + "', but got two");
  return *found;
}

} // namespace llmir
