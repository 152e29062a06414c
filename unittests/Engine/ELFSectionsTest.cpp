// ELFSections: finds sections, and survives truncated and hostile files.

#include "FakeArtifact.h"

#include "llmir/Engine/ELFSections.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <random>
#include <string>

using namespace llmir;
using namespace llmir::testing;

namespace {

std::span<const uint8_t> asBytes(const std::string &text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

std::string makeFile() {
  Elf64_Ehdr header{};
  std::memcpy(header.e_ident, ELFMAG, SELFMAG);
  header.e_ident[EI_CLASS] = ELFCLASS64;
  header.e_ident[EI_DATA] = ELFDATA2LSB;
  std::string start(reinterpret_cast<const char *>(&header), sizeof(header));
  return appendSections(start, {{".first", "one"}, {".second", "three"}});
}

template <typename T> void put(std::string &file, size_t offset, T value) {
  std::memcpy(file.data() + offset, &value, sizeof(value));
}

std::string messageOf(const std::string &file) {
  StatusOr<ELFSections> sections = ELFSections::read(asBytes(file));
  return sections ? std::string("ok") : sections.status().message();
}

} // namespace

TEST(ELFSectionsTest, FindsSectionsByName) {
  std::string file = makeFile();
  StatusOr<ELFSections> sections = ELFSections::read(asBytes(file));
  ASSERT_TRUE(sections.isOk()) << sections.status().message();
  ASSERT_EQ(sections->sections().size(), 3u);
  StatusOr<ELFSection> second = sections->find(".second");
  ASSERT_TRUE(second.isOk());
  EXPECT_EQ(file.substr(second->offset, second->size), "three");
  EXPECT_EQ(sections->find(".third").status().message(), "no section '.third'");
}

TEST(ELFSectionsTest, RefusesASectionThatIsThereTwice) {
  std::string start = makeFile().substr(0, sizeof(Elf64_Ehdr));
  std::string file = appendSections(start, {{".a", "1"}, {".a", "2"}});
  EXPECT_EQ((*ELFSections::read(asBytes(file))).find(".a").status().message(),
            "expected one section '.a', but got two");
}

TEST(ELFSectionsTest, ReadsThisProgram) {
  std::string file = readFile("/proc/self/exe");
  StatusOr<ELFSections> sections = ELFSections::read(asBytes(file));
  ASSERT_TRUE(sections.isOk()) << sections.status().message();
  EXPECT_TRUE(sections->find(".text").isOk());
}

TEST(ELFSectionsTest, RefusesOtherFiles) {
  EXPECT_EQ(messageOf(""), "expected an ELF file of at least 64 bytes, but got 0");
  EXPECT_EQ(messageOf(std::string(64, 'x')),
            "expected an ELF file, but its first four bytes are others");
  std::string file = makeFile();
  file[EI_CLASS] = ELFCLASS32;
  EXPECT_EQ(messageOf(file),
            "expected a 64-bit little-endian ELF file, but got class 1 and data 1");
  file = makeFile();
  put<uint64_t>(file, offsetof(Elf64_Ehdr, e_shoff), 0);
  EXPECT_EQ(messageOf(file), "the ELF file has no section header table");
}

TEST(ELFSectionsTest, RefusesEveryTruncation) {
  std::string file = makeFile();
  for (size_t size = 0; size < file.size(); size += size < 128 ? 1 : 61)
    EXPECT_NE(messageOf(file.substr(0, size)), "ok") << size;
}

TEST(ELFSectionsTest, RefusesNumbersThatLeaveTheFile) {
  auto withHeader = [](size_t offset, auto value) {
    std::string file = makeFile();
    put(file, offset, value);
    return messageOf(file);
  };
  EXPECT_NE(withHeader(offsetof(Elf64_Ehdr, e_shoff), ~uint64_t(0)).find("section header table"),
            std::string::npos);
  EXPECT_NE(withHeader(offsetof(Elf64_Ehdr, e_shnum), uint16_t(60000)).find("60000 entries"),
            std::string::npos);
  EXPECT_NE(withHeader(offsetof(Elf64_Ehdr, e_shstrndx), uint16_t(9)).find("e_shstrndx is 9"),
            std::string::npos);
  EXPECT_NE(withHeader(offsetof(Elf64_Ehdr, e_shentsize), uint16_t(1)).find("e_shentsize is 1"),
            std::string::npos);

  std::string good = makeFile();
  Elf64_Ehdr header;
  std::memcpy(&header, good.data(), sizeof(header));
  size_t first = header.e_shoff + sizeof(Elf64_Shdr);
  auto withSection = [&](size_t offset, auto value) {
    std::string file = good;
    put(file, first + offset, value);
    return messageOf(file);
  };
  EXPECT_NE(withSection(offsetof(Elf64_Shdr, sh_size), ~uint64_t(0)).find("section '.first'"),
            std::string::npos);
  EXPECT_NE(withSection(offsetof(Elf64_Shdr, sh_offset), ~uint64_t(0) - 1).find("outside the file"),
            std::string::npos);
  EXPECT_NE(withSection(offsetof(Elf64_Shdr, sh_name), ~uint32_t(0)).find("sh_name is 4294967295"),
            std::string::npos);
}

TEST(ELFSectionsTest, SurvivesRandomDamage) {
  std::string good = makeFile();
  std::mt19937 random(99);
  for (int round = 0; round < 5000; ++round) {
    std::string file = good;
    for (int i = 0; i < 4; ++i) {
      // Half of the damage goes to the tables, which are small and last.
      size_t range = i % 2 ? 300 : file.size();
      file[file.size() - 1 - random() % range] = static_cast<char>(random());
    }
    StatusOr<ELFSections> sections = ELFSections::read(asBytes(file));
    if (!sections)
      continue;
    for (const ELFSection &section : sections->sections())
      ASSERT_LE(section.offset + section.size, section.size ? file.size() : ~size_t(0));
  }
}
