// SCENARIOS, Checkpoints: a flipped bit anywhere in a folder is refused, in a page by the page's
// name, and leaves the cache as it was; so do missing and shortened files.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>

using namespace llmir;
using testing::HasSubstr;

namespace {

class CheckpointDamageTest : public testing::Test {
protected:
  void SetUp() override {
    ASSERT_OK(appendTokens(cache, 1, 6, 1));
    ASSERT_OK(cache.fork(SequenceId{1}, SequenceId{2}));
    ASSERT_OK(appendTokens(cache, 2, 1, 2));
    CheckpointManager manager("f", {}, files);
    ASSERT_OK(manager.createCheckpoint(cache, "a"));
    ASSERT_OK(appendTokens(target, 7, 5, 7));
    before = pictureOf(target);
  }

  /// Loads from a disk on which `path` has that content.
  Status load(const std::string &path, std::vector<uint8_t> bytes) {
    FaultyFileSystem disk = files.copy();
    disk.setContent(path, std::move(bytes));
    CheckpointManager manager("f", {}, disk);
    return manager.loadCheckpoint(target, "a");
  }

  void expectUnchanged() {
    EXPECT_EQ(pictureOf(target), before);
    EXPECT_OK(target.checkInvariants());
  }

  FaultyFileSystem files;
  PagedKVCache cache = SmallCache::make(), target = SmallCache::make();
  CachePicture before;
};

TEST_F(CheckpointDamageTest, Scenario_Checkpoints_AFlippedBitIsRefusedWithThePagesName) {
  CheckpointManager manager("f", {}, files);
  CheckpointManifest manifest = *manager.readManifest("a");
  std::string path = "f/000000000001.pages";
  std::vector<uint8_t> bytes = files.content(path);
  for (const CheckpointPage &page : manifest.pages)
    for (uint64_t at = page.offset, step = 0; at < page.offset + page.storedBytes;
         at += 101, ++step) {
      std::vector<uint8_t> damaged = bytes;
      damaged[at] ^= static_cast<uint8_t>(1u << step % 8);
      Status status = load(path, damaged);
      ASSERT_EQ(status.code(), StatusCode::DataLoss);
      ASSERT_THAT(status.message(), HasSubstr("page " + toString(page.hash) + " ("));
      ASSERT_THAT(status.message(), HasSubstr("checksum mismatch"));
    }
  expectUnchanged();
}

TEST_F(CheckpointDamageTest, EveryBitOfManifestCatalogAndPackHeader) {
  for (const char *path : {"f/000000000001.manifest", "f/catalog", "f/000000000001.pages"}) {
    std::vector<uint8_t> bytes = files.content(path);
    size_t end = std::min<size_t>(bytes.size(), packHeaderBytes);
    for (size_t bit = 0; bit < end * 8; bit += end < 1000 ? 1 : 13) {
      std::vector<uint8_t> damaged = bytes;
      damaged[bit / 8] ^= static_cast<uint8_t>(1u << bit % 8);
      Status status = load(path, damaged);
      // A changed version number is another version.
      ASSERT_TRUE(status.code() == StatusCode::DataLoss ||
                  status.code() == StatusCode::Unimplemented)
          << path << " bit " << bit << ": " << status.message();
    }
  }
  expectUnchanged();
}

TEST_F(CheckpointDamageTest, EveryShorterFile) {
  for (const char *path : {"f/000000000001.manifest", "f/catalog", "f/000000000001.pages"}) {
    std::vector<uint8_t> bytes = files.content(path);
    for (size_t size = 0; size < bytes.size(); size += bytes.size() < 1000 ? 1 : 97) {
      Status status = load(path, {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(size)});
      ASSERT_EQ(status.code(), StatusCode::DataLoss) << path << ": " << size;
    }
  }
  expectUnchanged();
}

TEST_F(CheckpointDamageTest, MissingFiles) {
  for (const char *path : {"f/000000000001.manifest", "f/000000000001.pages"}) {
    FaultyFileSystem disk = files.copy();
    ASSERT_OK(disk.remove(path));
    CheckpointManager manager("f", {}, disk);
    Status status = manager.loadCheckpoint(target, "a");
    EXPECT_EQ(status.code(), StatusCode::DataLoss);
    EXPECT_THAT(status.message(), HasSubstr(path));
  }
  expectUnchanged();
}

TEST_F(CheckpointDamageTest, AnotherCheckpointsFiles) {
  FaultyFileSystem disk = files.copy();
  CheckpointManager manager("f", {}, disk);
  ASSERT_OK(appendTokens(cache, 1, 4, 4));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  EXPECT_EQ(load("f/000000000001.manifest", disk.content("f/000000000002.manifest")).code(),
            StatusCode::DataLoss);
  std::vector<uint8_t> pages = disk.content("f/000000000002.pages");
  pages.resize(files.content("f/000000000001.pages").size());
  EXPECT_EQ(load("f/000000000001.pages", pages).code(), StatusCode::DataLoss);
  expectUnchanged();
}

TEST_F(CheckpointDamageTest, ADamagedPageStopsOnlyThoseWhoHaveIt) {
  CheckpointManager manager("f", {}, files);
  CheckpointManifest manifest = *manager.readManifest("a");
  // The last page is sequence 2's own.
  std::vector<uint8_t> bytes = files.content("f/000000000001.pages");
  bytes[manifest.pages.back().offset + 5] ^= 1;
  files.setContent("f/000000000001.pages", bytes);
  auto mapped = manager.mapCheckpoint(target, "a");
  ASSERT_OK(mapped.status());
  int32_t numFree = target.pool().numFree();
  EXPECT_EQ(mapped->attach(SequenceId{2}).code(), StatusCode::DataLoss);
  EXPECT_EQ(target.pool().numFree(), numFree);
  EXPECT_OK(mapped->attach(SequenceId{1}));
  EXPECT_EQ(manager.verifyCheckpoint("a").code(), StatusCode::DataLoss);
}

} // namespace
