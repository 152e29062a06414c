// MappedFile: content, moves, and what cannot be mapped.

#include "llmir/Base/MappedFile.h"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <string>

namespace llmir {
namespace {

std::string writeFile(const std::string &name, const std::string &content) {
  std::string path = testing::TempDir() + name;
  std::ofstream(path, std::ios::binary) << content;
  return path;
}

TEST(MappedFileTest, HasTheContentAndKeepsItsAddress) {
  std::string path = writeFile("llmir-mapped", "abc");
  StatusOr<MappedFile> file = MappedFile::open(path);
  ASSERT_TRUE(file.isOk()) << file.status().message();
  const uint8_t *address = file->bytes().data();
  MappedFile moved = *std::move(file);
  EXPECT_EQ(moved.bytes().data(), address);
  EXPECT_EQ(std::string(moved.bytes().begin(), moved.bytes().end()), "abc");
  EXPECT_EQ(moved.path(), path);
  MappedFile other = *MappedFile::open(path);
  other = std::move(moved);
  EXPECT_EQ(other.bytes().data(), address);
  std::remove(path.c_str());
}

TEST(MappedFileTest, EmptyFileHasNoBytes) {
  std::string path = writeFile("llmir-mapped-empty", "");
  StatusOr<MappedFile> file = MappedFile::open(path);
  ASSERT_TRUE(file.isOk()) << file.status().message();
  EXPECT_TRUE(file->bytes().empty());
  std::remove(path.c_str());
}

TEST(MappedFileTest, NamesWhatCannotBeOpened) {
  StatusOr<MappedFile> missing = MappedFile::open("/nonexistent/model.gguf");
  ASSERT_FALSE(missing.isOk());
  EXPECT_EQ(missing.status().code(), StatusCode::NotFound);
  EXPECT_EQ(missing.status().message(),
            "/nonexistent/model.gguf: cannot open: No such file or directory");
  StatusOr<MappedFile> folder = MappedFile::open("/");
  ASSERT_FALSE(folder.isOk());
  EXPECT_EQ(folder.status().code(), StatusCode::InvalidArgument);
}

} // namespace
} // namespace llmir
