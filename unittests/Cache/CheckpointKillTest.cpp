// SCENARIOS, Checkpoints: `kill -9` at every write boundary, with real files and real processes: a
// child that saves is killed at each of its file operations in turn. And several threads that save,
// load and clean up one folder at once.

#include "CheckpointFixture.h"

#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

using namespace llmir;

namespace {

/// The operating system's files until operation number `killAt`, at which the process kills itself.
class KillingFileSystem : public FileSystem {
public:
  explicit KillingFileSystem(int64_t killAt) : left_(killAt) {}

  Status createFolder(const std::string &folder) override { return files_.createFolder(folder); }
  StatusOr<std::vector<std::string>> list(const std::string &folder) override {
    return files_.list(folder);
  }
  StatusOr<std::unique_ptr<FileView>> map(const std::string &path) override {
    return files_.map(path);
  }
  StatusOr<std::unique_ptr<FileLock>> lock(const std::string &path, LockMode mode,
                                           LockWait wait) override {
    return files_.lock(path, mode, wait);
  }
  StatusOr<std::unique_ptr<FileWriter>> create(const std::string &path) override {
    count();
    auto file = files_.create(path);
    if (!file)
      return file.status();
    return std::unique_ptr<FileWriter>(new Writer(*this, *std::move(file)));
  }
  Status rename(const std::string &from, const std::string &to) override {
    count();
    return files_.rename(from, to);
  }
  Status remove(const std::string &path) override {
    count();
    return files_.remove(path);
  }
  Status syncFolder(const std::string &folder) override {
    count();
    return files_.syncFolder(folder);
  }
  Status punchHole(const std::string &path, uint64_t offset, uint64_t size) override {
    count();
    return files_.punchHole(path, offset, size);
  }

private:
  class Writer : public FileWriter {
  public:
    Writer(KillingFileSystem &files, std::unique_ptr<FileWriter> file)
        : files_(files), file_(std::move(file)) {}
    Status append(std::span<const uint8_t> bytes) override {
      // Half of it is there when the end comes.
      LLMIR_RETURN_IF_ERROR(file_->append(bytes.first(bytes.size() / 2)));
      files_.count();
      return file_->append(bytes.subspan(bytes.size() / 2));
    }
    Status sync() override {
      files_.count();
      return file_->sync();
    }

  private:
    KillingFileSystem &files_;
    std::unique_ptr<FileWriter> file_;
  };

  void count() {
    if (left_-- == 0)
      (void)raise(SIGKILL);
  }

  FileSystem &files_ = systemFiles();
  int64_t left_;
};

class CheckpointKillTest : public testing::Test {
protected:
  void SetUp() override {
    char path[] = "/tmp/llmir-checkpoints-XXXXXX";
    ASSERT_NE(mkdtemp(path), nullptr);
    folder = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string folder;
};

TEST_F(CheckpointKillTest, Scenario_Checkpoints_Kill9AtEveryWriteBoundary) {
  PagedKVCache cache = SmallCache::make();
  ASSERT_OK(appendTokens(cache, 1, 10, 1));
  CheckpointManager manager(folder);
  ASSERT_OK(manager.createCheckpoint(cache, "same"));
  CachePicture old = pictureOf(cache);
  ASSERT_OK(cache.fork(SequenceId{1}, SequenceId{2}));
  ASSERT_OK(appendTokens(cache, 2, 7, 2));
  CachePicture next = pictureOf(cache);
  bool isFinished = false, hadNew = false;
  for (int64_t operation = 0; !isFinished; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      KillingFileSystem files(operation);
      CheckpointManager killed(folder, {}, files);
      _exit(killed.createCheckpoint(cache, "same").isOk() ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    isFinished = WIFEXITED(status);
    EXPECT_TRUE(isFinished ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
    PagedKVCache loaded = SmallCache::make();
    ASSERT_OK(manager.loadCheckpoint(loaded, "same"));
    CachePicture found = pictureOf(loaded);
    EXPECT_TRUE(found == old || found == next);
    // A new set stays: later children replace it by its like.
    EXPECT_TRUE(found == next || !hadNew);
    hadNew = found == next;
    ASSERT_LT(operation, 100);
  }
  EXPECT_TRUE(hadNew);
  ASSERT_OK(manager.cleanupCheckpoints(1));
  size_t files = 0;
  for ([[maybe_unused]] const auto &entry : std::filesystem::directory_iterator(folder))
    ++files;
  EXPECT_LE(files, 5u); // Catalog, lock, manifest, old and new pages.
}

TEST_F(CheckpointKillTest, SavesLoadsAndCleanUpsAtOnce) {
  constexpr int32_t rounds = 40;
  std::atomic<bool> isDone{false};
  auto save = [&](int32_t thread) {
    CheckpointManager manager(folder);
    PagedKVCache cache = SmallCache::make();
    for (int32_t round = 0; round < rounds; ++round) {
      EXPECT_OK(appendTokens(cache, round, 6, thread * 1000 + round));
      if (round >= 3)
        EXPECT_OK(cache.freeSequence(SequenceId{round - 3}));
      EXPECT_OK(
          manager.createCheckpoint(cache, std::to_string(thread) + "-" + std::to_string(round)));
    }
  };
  auto cleanUp = [&] {
    CheckpointManager manager(folder);
    while (!isDone)
      EXPECT_OK(manager.cleanupCheckpoints(3));
  };
  int64_t loads = 0;
  auto load = [&] {
    CheckpointManager manager(folder);
    while (!isDone) {
      auto infos = manager.listCheckpoints();
      ASSERT_OK(infos.status());
      for (const CheckpointInfo &info : *infos) {
        PagedKVCache cache = SmallCache::make();
        Status status = manager.loadCheckpoint(cache, info.name);
        // It may have been removed meanwhile, but never by halves.
        EXPECT_TRUE(status.isOk() || status.code() == StatusCode::NotFound) << status.message();
        loads += status.isOk();
      }
    }
  };
  std::thread first(save, 1), second(save, 2), cleaner(cleanUp), loader(load);
  first.join();
  second.join();
  isDone = true;
  cleaner.join();
  loader.join();
  EXPECT_GT(loads, 0);
  CheckpointManager manager(folder);
  ASSERT_OK(manager.cleanupCheckpoints(3));
  EXPECT_EQ(manager.listCheckpoints()->size(), 3u);
}

} // namespace
