// The operating system's files behind the FileSystem interface.

#include "llmir/Base/FileSystem.h"

#include <cstdlib>
#include <filesystem>
#include <gmock/gmock.h>

using namespace llmir;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

std::span<const uint8_t> asBytes(std::string_view text) {
  return {reinterpret_cast<const uint8_t *>(text.data()), text.size()};
}

class FileSystemTest : public testing::Test {
protected:
  void SetUp() override {
    char path[] = "/tmp/llmir-files-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  void write(const std::string &name, std::string_view text) {
    auto file = files.create(folder + "/" + name);
    ASSERT_TRUE(file.isOk()) << file.status().message();
    EXPECT_TRUE((*file)->append(asBytes(text)).isOk());
    EXPECT_TRUE((*file)->sync().isOk());
  }
  std::string read(const std::string &name) {
    auto view = files.map(folder + "/" + name);
    EXPECT_TRUE(view.isOk()) << view.status().message();
    return {(*view)->bytes().begin(), (*view)->bytes().end()};
  }

  FileSystem &files = systemFiles();
  std::string folder;
};

TEST_F(FileSystemTest, WritesReadsListsRenamesRemoves) {
  ASSERT_TRUE(files.createFolder(folder + "/a/b").isOk());
  ASSERT_TRUE(files.createFolder(folder + "/a/b").isOk());
  write("y", "new");
  write("x", "old");
  EXPECT_THAT(*files.list(folder), ElementsAre("a", "x", "y"));
  auto view = files.map(folder + "/x");
  ASSERT_TRUE(files.rename(folder + "/y", folder + "/x").isOk());
  EXPECT_TRUE(files.syncFolder(folder).isOk());
  EXPECT_EQ(read("x"), "new");
  EXPECT_TRUE(files.remove(folder + "/x").isOk());
  // A view outlives its file.
  EXPECT_EQ((*view)->bytes()[0], 'o');
  EXPECT_THAT(*files.list(folder), ElementsAre("a"));
}

TEST_F(FileSystemTest, SaysWhatIsMissingOrThere) {
  std::string path = folder + "/none";
  EXPECT_EQ(files.map(path).status().code(), StatusCode::NotFound);
  EXPECT_EQ(files.remove(path).code(), StatusCode::NotFound);
  EXPECT_EQ(files.list(path).status().code(), StatusCode::NotFound);
  EXPECT_EQ(files.rename(path, folder + "/x").code(), StatusCode::NotFound);
  EXPECT_EQ(files.lock(path, LockMode::Shared, LockWait::Try).status().code(),
            StatusCode::NotFound);
  EXPECT_THAT(files.map(path).status().message(), HasSubstr(path));
  write("x", "1");
  EXPECT_EQ(files.create(folder + "/x").status().code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(read("x"), "1");
}

TEST_F(FileSystemTest, LocksExcludeWithinAProcess) {
  write("lock", "");
  std::string path = folder + "/lock";
  auto reader = files.lock(path, LockMode::Shared, LockWait::Try);
  auto other = files.lock(path, LockMode::Shared, LockWait::Try);
  ASSERT_TRUE(reader.isOk() && other.isOk());
  EXPECT_EQ(files.lock(path, LockMode::Exclusive, LockWait::Try).status().code(),
            StatusCode::FailedPrecondition);
  reader->reset();
  other->reset();
  auto writer = files.lock(path, LockMode::Exclusive, LockWait::Try);
  ASSERT_TRUE(writer.isOk());
  EXPECT_FALSE(files.lock(path, LockMode::Shared, LockWait::Try).isOk());
}

TEST_F(FileSystemTest, HolesReadAsZerosOrAreLeftAlone) {
  write("x", std::string(3 * 4096, 'x'));
  ASSERT_TRUE(files.punchHole(folder + "/x", 4096, 4096).isOk());
  std::string text = read("x");
  EXPECT_EQ(text.size(), 3u * 4096);
  EXPECT_EQ(text.substr(0, 4096), std::string(4096, 'x'));
  EXPECT_EQ(text.substr(2 * 4096), std::string(4096, 'x'));
  EXPECT_TRUE(text[4096] == 0 || text[4096] == 'x');
}

} // namespace
