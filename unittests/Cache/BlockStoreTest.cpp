// BlockFile: pages come back as they were written, or not at all.

#include "llmir/Cache/BlockStore.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <vector>

using namespace llmir;

namespace {

constexpr size_t pageSize = 100;

PrefixKey keyOf(uint64_t number) { return {{number, 2, 3, 4}}; }

std::vector<uint8_t> pageOf(uint8_t first) {
  std::vector<uint8_t> bytes(pageSize);
  for (size_t i = 0; i < pageSize; ++i)
    bytes[i] = static_cast<uint8_t>(first + i);
  return bytes;
}

class BlockFileTest : public testing::Test {
protected:
  void SetUp() override {
    path_ = testing::TempDir() + "llmir-blocks-" + std::to_string(getpid());
    StatusOr<std::unique_ptr<BlockFile>> file = BlockFile::create(path_, pageSize, 3);
    ASSERT_TRUE(file.isOk()) << file.status().message();
    file_ = *std::move(file);
  }

  Status read(int64_t page, uint64_t key) { return file_->read(page, keyOf(key), bytes_); }

  std::string path_;
  std::unique_ptr<BlockFile> file_;
  std::vector<uint8_t> bytes_ = std::vector<uint8_t>(pageSize);
};

} // namespace

TEST_F(BlockFileTest, ReturnsWhatWasWritten) {
  ASSERT_TRUE(file_->write(2, keyOf(1), pageOf(10)).isOk());
  ASSERT_TRUE(file_->write(0, keyOf(2), pageOf(20)).isOk());
  ASSERT_TRUE(file_->write(2, keyOf(3), pageOf(30)).isOk());
  ASSERT_TRUE(read(2, 3).isOk());
  EXPECT_EQ(bytes_, pageOf(30));
  ASSERT_TRUE(read(0, 2).isOk());
  EXPECT_EQ(bytes_, pageOf(20));
}

TEST_F(BlockFileTest, RefusesWhatIsNotTheWrittenPage) {
  ASSERT_TRUE(file_->write(1, keyOf(1), pageOf(10)).isOk());
  EXPECT_EQ(read(1, 9).code(), StatusCode::DataLoss); // another block's
  EXPECT_EQ(read(0, 1).code(), StatusCode::DataLoss); // never written
  EXPECT_EQ(read(3, 1).message(), "expected a page of 0 to 2, but got 3");
  EXPECT_EQ(file_->read(1, keyOf(1), std::span(bytes_).first(9)).message(),
            "expected a page of 100 bytes, but got 9");

  for (size_t at : {size_t(0), size_t(57), pageSize - 1}) {
    std::fstream raw(path_, std::ios::in | std::ios::out | std::ios::binary);
    raw.seekg(static_cast<std::streamoff>(pageSize + at));
    char byte = static_cast<char>(raw.get() ^ 4);
    raw.seekp(static_cast<std::streamoff>(pageSize + at));
    raw.put(byte);
    raw.close();
    Status status = read(1, 1);
    EXPECT_EQ(status.code(), StatusCode::DataLoss);
    EXPECT_NE(status.message().find("fails its checksum"), std::string::npos);
    ASSERT_TRUE(file_->write(1, keyOf(1), pageOf(10)).isOk());
    ASSERT_TRUE(read(1, 1).isOk());
  }
  std::filesystem::resize_file(path_, pageSize + 5);
  EXPECT_NE(read(1, 1).message().find("ends within page 1"), std::string::npos);
}

TEST_F(BlockFileTest, SaysThatTheDiskIsFullAndForgetsTheTornPage) {
  ASSERT_TRUE(file_->write(1, keyOf(1), pageOf(10)).isOk());
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &before), 0);
  auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small{pageSize + 30, before.rlim_max}; // within page 1
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  Status status = file_->write(1, keyOf(2), pageOf(20));
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &before), 0);
  std::signal(SIGXFSZ, handler);
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted) << status.message();
  EXPECT_EQ(read(1, 1).code(), StatusCode::DataLoss);
  EXPECT_EQ(read(1, 2).code(), StatusCode::DataLoss);
}

TEST_F(BlockFileTest, LeavesAloneWhatIsNoFile) {
  std::string pipe = path_ + "-pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  EXPECT_EQ(BlockFile::create(pipe, pageSize, 1).status().code(), StatusCode::InvalidArgument);
  EXPECT_TRUE(std::filesystem::exists(pipe));
  std::filesystem::remove(pipe);
}

TEST_F(BlockFileTest, IsLockedWhileItLivesAndRemovedWithIt) {
  EXPECT_EQ(BlockFile::create(path_, pageSize, 3).status().code(), StatusCode::FailedPrecondition);
  EXPECT_TRUE(std::filesystem::exists(path_));
  file_.reset();
  EXPECT_FALSE(std::filesystem::exists(path_));
  EXPECT_TRUE(BlockFile::create(path_, pageSize, 3).isOk());
}

TEST_F(BlockFileTest, RefusesBadSizesAndPaths) {
  EXPECT_EQ(BlockFile::create(path_, 0, 3).status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(BlockFile::create(path_, 1, 0).status().code(), StatusCode::InvalidArgument);
  EXPECT_EQ(BlockFile::create(path_, 1, int64_t(1) << 31).status().code(),
            StatusCode::InvalidArgument);
  Status status = BlockFile::create("/nowhere/blocks", 1, 1).status();
  EXPECT_EQ(status.message(), "cannot create '/nowhere/blocks': No such file or directory");
}
