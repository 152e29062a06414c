// AtomicFile: the path holds the old content or the new, and nothing else stays in the folder.

#include "llmir/Base/AtomicFile.h"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <gtest/gtest.h>
#include <iterator>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace llmir {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / ("llmir-atomic-" + std::to_string(::getpid()));
    fs::create_directory(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string pathOf(const std::string &name) const { return (folder_ / name).string(); }
  static std::string contentOf(const std::string &path) {
    std::ifstream stream(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(stream), {}};
  }
  size_t numFiles() const {
    return static_cast<size_t>(std::distance(fs::directory_iterator(folder_), {}));
  }

  fs::path folder_;
};

TEST_F(AtomicFileTest, CommitPutsTheContentInPlace) {
  std::string path = pathOf("model");
  std::ofstream(path) << "old";
  StatusOr<AtomicFile> file = AtomicFile::create(path);
  ASSERT_TRUE(file.isOk()) << file.status().message();
  ASSERT_TRUE(file->write("hello").isOk());
  ASSERT_TRUE(file->padTo(8).isOk());
  ASSERT_TRUE(file->write("x").isOk());
  EXPECT_EQ(file->size(), 9u);
  const uint8_t patch[] = {'J'};
  ASSERT_TRUE(file->overwrite(0, patch).isOk());
  EXPECT_FALSE(file->overwrite(9, patch).isOk());
  EXPECT_EQ(contentOf(path), "old");
  Status status = file->commit();
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_EQ(contentOf(path), std::string("Jello\0\0\0x", 9));
  EXPECT_EQ(numFiles(), 1u);
  EXPECT_EQ(file->write("more").code(), StatusCode::FailedPrecondition);
}

TEST_F(AtomicFileTest, NothingStaysWithoutCommit) {
  {
    StatusOr<AtomicFile> file = AtomicFile::create(pathOf("model"));
    ASSERT_TRUE(file.isOk()) << file.status().message();
    ASSERT_TRUE(file->write("hello").isOk());
    AtomicFile moved = *std::move(file);
    ASSERT_TRUE(moved.write(" there").isOk());
  }
  EXPECT_EQ(numFiles(), 0u);
}

TEST_F(AtomicFileTest, ExecutableFilesCanRun) {
  std::string path = pathOf("program");
  StatusOr<AtomicFile> file = AtomicFile::create(path, FileAccess::Executable);
  ASSERT_TRUE(file.isOk()) << file.status().message();
  ASSERT_TRUE(file->commit().isOk());
  EXPECT_EQ(::access(path.c_str(), X_OK), 0);
}

TEST_F(AtomicFileTest, MissingFolderIsNamed) {
  StatusOr<AtomicFile> file = AtomicFile::create(pathOf("none/model"));
  ASSERT_FALSE(file.isOk());
  EXPECT_EQ(file.status().message(),
            pathOf("none/model") + ": cannot create: No such file or directory");
  EXPECT_FALSE(AtomicFile::create(folder_.string()).isOk());
}

TEST_F(AtomicFileTest, FullDiskNamesPathAndBytes) {
  // A limit on the file size fails a write as a full disk does.
  std::string path = pathOf("model");
  StatusOr<AtomicFile> file = AtomicFile::create(path);
  ASSERT_TRUE(file.isOk()) << file.status().message();
  rlimit old = {};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit limit = {4096, old.rlim_max};
  std::signal(SIGXFSZ, SIG_IGN);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &limit), 0);
  Status status = file->write(std::string(10000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), path + ": cannot write 5904 bytes at offset 4096: File too large");
  EXPECT_EQ(file->commit().code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(numFiles(), 0u);
}

} // namespace
} // namespace llmir
