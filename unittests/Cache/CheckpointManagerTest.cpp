// CheckpointManager in memory: what is saved comes back, pages are stored once, names and
// retention, and everything that is refused.

#include "llmir/Cache/CheckpointManager.h"

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>

using namespace llmir;
using testing::ElementsAre;
using testing::HasSubstr;

namespace {

class CheckpointManagerTest : public testing::Test {
protected:
  std::vector<std::string> names() {
    std::vector<std::string> result;
    auto infos = manager.listCheckpoints();
    EXPECT_OK(infos.status());
    for (const CheckpointInfo &info : *infos)
      result.push_back(info.name);
    return result;
  }

  /// Sequences 1 (10 tokens), 2 (a fork of 1, 2 tokens more), 3 (4 tokens).
  void fill() {
    ASSERT_OK(appendTokens(cache, 1, 10, 1));
    ASSERT_OK(cache.fork(SequenceId{1}, SequenceId{2}));
    ASSERT_OK(appendTokens(cache, 2, 2, 2));
    ASSERT_OK(appendTokens(cache, 3, 4, 3));
  }

  FaultyFileSystem files;
  CheckpointManager manager{"folder", {}, files};
  PagedKVCache cache = SmallCache::make();
};

TEST_F(CheckpointManagerTest, RestoresSequencesAndSharing) {
  fill();
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  PagedKVCache other = SmallCache::make();
  other.shuffleFreeBlocks(7);
  ASSERT_OK(manager.loadCheckpoint(other, "a"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
  EXPECT_OK(other.checkInvariants());
  EXPECT_EQ(other.pool().numFree(), cache.pool().numFree());
  // A fork that was restored as a fork still copies before it writes.
  CachePicture before = pictureOf(other);
  ASSERT_OK(other.truncate(SequenceId{2}, 5));
  ASSERT_OK(appendTokens(other, 2, 1, 9));
  EXPECT_EQ(pictureOf(other).sequences[1], before.sequences[1]);
}

TEST_F(CheckpointManagerTest, ReplacesWhatTheCacheHolds) {
  fill();
  CachePicture saved = pictureOf(cache);
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(cache.freeSequence(SequenceId{3}));
  ASSERT_OK(appendTokens(cache, 1, 5, 8));
  ASSERT_OK(appendTokens(cache, 4, 5, 9));
  ASSERT_OK(manager.loadCheckpoint(cache, "a"));
  EXPECT_EQ(pictureOf(cache), saved);
  EXPECT_OK(cache.checkInvariants());
}

TEST_F(CheckpointManagerTest, RestoresIntoAFullPool) {
  PagedKVCache full = SmallCache::make(4);
  ASSERT_OK(appendTokens(full, 1, 16, 1));
  ASSERT_EQ(full.pool().numFree(), 0);
  CachePicture saved = pictureOf(full);
  ASSERT_OK(manager.createCheckpoint(full, "full"));
  ASSERT_OK(full.freeSequence(SequenceId{1}));
  ASSERT_OK(appendTokens(full, 2, 16, 2));
  ASSERT_OK(manager.loadCheckpoint(full, "full"));
  EXPECT_EQ(pictureOf(full), saved);
  EXPECT_OK(full.checkInvariants());
}

TEST_F(CheckpointManagerTest, RefusesWhenBlocksDoNotFit) {
  fill();
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  PagedKVCache small = SmallCache::make(4);
  ASSERT_OK(appendTokens(small, 9, 3, 9));
  CachePicture before = pictureOf(small);
  Status status = manager.loadCheckpoint(small, "a");
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("need 5 blocks, 4 free"));
  EXPECT_EQ(pictureOf(small), before);
  EXPECT_OK(small.checkInvariants());
}

TEST_F(CheckpointManagerTest, StoresEqualPagesOnce) {
  ASSERT_OK(appendTokens(cache, 1, 16, 1));
  ASSERT_OK(appendTokens(cache, 2, 16, 1)); // The same content in blocks of its own.
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  EXPECT_EQ(manager.lastSave().blocks, 8);
  EXPECT_EQ(manager.lastSave().pagesWritten, 4);
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "a"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, WritesOnlyNewPages) {
  ASSERT_OK(appendTokens(cache, 1, 16, 1));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(appendTokens(cache, 1, 4, 2));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  EXPECT_EQ(manager.lastSave().pagesWritten, 1);
  EXPECT_EQ(manager.lastSave().pagesReused, 4);
  ASSERT_OK(manager.createCheckpoint(cache, "c"));
  EXPECT_EQ(manager.lastSave().pagesWritten, 0);
  EXPECT_EQ(manager.lastSave().bytesWritten, 0u);
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "c"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, DoesNotReuseADamagedPage) {
  ASSERT_OK(appendTokens(cache, 1, 8, 1));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  std::vector<uint8_t> pages = files.content("folder/000000000001.pages");
  pages[packHeaderBytes + 100] ^= 1;
  files.setContent("folder/000000000001.pages", pages);
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  EXPECT_EQ(manager.lastSave().pagesWritten, 1);
  EXPECT_EQ(manager.lastSave().pagesReused, 1);
  PagedKVCache other = SmallCache::make();
  EXPECT_EQ(manager.loadCheckpoint(other, "a").code(), StatusCode::DataLoss);
  EXPECT_OK(manager.loadCheckpoint(other, "b"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, SavesNothingThatBelongsToNobody) {
  // The second half of the block still has the old sequence's tokens.
  ASSERT_OK(appendTokens(cache, 1, 4, 1));
  ASSERT_OK(cache.truncate(SequenceId{1}, 2));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  PagedKVCache clean = SmallCache::make();
  ASSERT_OK(appendTokens(clean, 1, 4, 1));
  ASSERT_OK(clean.truncate(SequenceId{1}, 2));
  BlockId block = (*clean.blocks(SequenceId{1}))[0];
  std::span<uint8_t> bytes = *clean.blockBytes(block);
  size_t nonZero = static_cast<size_t>(
      std::count_if(bytes.begin(), bytes.end(), [](uint8_t b) { return b != 0; }));
  std::vector<uint8_t> pages = files.content("folder/000000000001.pages");
  auto saved = static_cast<size_t>(std::count_if(pages.begin() + packHeaderBytes, pages.end(),
                                                 [](uint8_t b) { return b != 0; }));
  EXPECT_LT(saved, nonZero * 2 / 3);
  EXPECT_GT(saved, nonZero / 3);
}

TEST_F(CheckpointManagerTest, KeepsTheNewestAndGivesSpaceBack) {
  for (int32_t i = 1; i <= 4; ++i) {
    ASSERT_OK(appendTokens(cache, i, 8, i));
    ASSERT_OK(manager.createCheckpoint(cache, "c" + std::to_string(i)));
    if (i < 4) // Pages of sequence i live as long as checkpoint i does.
      ASSERT_OK(cache.freeSequence(SequenceId{i}));
  }
  ASSERT_OK(manager.cleanupCheckpoints(9));
  EXPECT_THAT(names(), ElementsAre("c1", "c2", "c3", "c4"));
  ASSERT_OK(manager.cleanupCheckpoints(2));
  EXPECT_THAT(names(), ElementsAre("c3", "c4"));
  EXPECT_THAT(files.paths(),
              ElementsAre("folder/000000000003.manifest", "folder/000000000003.pages",
                          "folder/000000000004.manifest", "folder/000000000004.pages",
                          "folder/catalog", "folder/lock"));
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "c4"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
  EXPECT_EQ(manager.loadCheckpoint(other, "c1").code(), StatusCode::NotFound);
  ASSERT_OK(manager.cleanupCheckpoints(0));
  EXPECT_THAT(files.paths(), ElementsAre("folder/catalog", "folder/lock"));
  EXPECT_EQ(manager.cleanupCheckpoints(-1).code(), StatusCode::InvalidArgument);
}

TEST_F(CheckpointManagerTest, PunchesPagesThatOnlyRemovedCheckpointsHad) {
  ASSERT_OK(appendTokens(cache, 1, 8, 1));
  ASSERT_OK(appendTokens(cache, 2, 8, 2));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(cache.freeSequence(SequenceId{1}));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  ASSERT_OK(manager.removeCheckpoint("a"));
  std::vector<uint8_t> pages = files.content("folder/000000000001.pages");
  int64_t blockBytes = cache.layout().block_stride;
  auto first = pages.begin() + packHeaderBytes;
  EXPECT_TRUE(std::all_of(first, first + 2 * blockBytes, [](uint8_t b) { return b == 0; }));
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "b"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, MappedCheckpointOutlivesItsRemoval) {
  fill();
  CachePicture saved = pictureOf(cache);
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(cache.freeSequence(SequenceId{1}));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  PagedKVCache other = SmallCache::make();
  {
    auto mapped = manager.mapCheckpoint(other, "a");
    ASSERT_OK(mapped.status());
    ASSERT_OK(manager.removeCheckpoint("a"));
    for (int32_t id : {3, 1, 2})
      ASSERT_OK(mapped->attach(SequenceId{id}));
  }
  EXPECT_EQ(pictureOf(other).sequences, saved.sequences);
  EXPECT_OK(other.checkInvariants());
}

TEST_F(CheckpointManagerTest, ReplacesACheckpointOfThatName) {
  ASSERT_OK(appendTokens(cache, 1, 8, 1));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  ASSERT_OK(appendTokens(cache, 2, 8, 2));
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  EXPECT_THAT(names(), ElementsAre("b", "a"));
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "a"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, RefusesNames) {
  for (const std::string &name : {std::string(), std::string(256, 'x'), std::string("a\nb")})
    EXPECT_EQ(manager.createCheckpoint(cache, name).code(), StatusCode::InvalidArgument) << name;
  EXPECT_OK(manager.createCheckpoint(cache, "../x/日本"));
  EXPECT_OK(manager.loadCheckpoint(cache, "../x/日本"));
  Status status = manager.loadCheckpoint(cache, "other");
  EXPECT_EQ(status.code(), StatusCode::NotFound);
  EXPECT_EQ(status.message(), "no checkpoint 'other' in folder");
}

TEST_F(CheckpointManagerTest, LooksIntoNoFolderThatIsNotThere) {
  CheckpointManager missing("elsewhere", {}, files);
  EXPECT_EQ(missing.loadCheckpoint(cache, "a").code(), StatusCode::NotFound);
  EXPECT_TRUE(missing.listCheckpoints()->empty());
  EXPECT_EQ(files.paths().size(), 0u);
}

TEST_F(CheckpointManagerTest, RestoresATreeWithItsBlocks) {
  fill();
  RecordTree tree(cache);
  std::span<const BlockId> blocks = *cache.blocks(SequenceId{1});
  ASSERT_OK(tree.add({{1}, std::nullopt, {5, 6, 7, 8}, blocks[0], {42}}));
  ASSERT_OK(tree.add({{2}, 0, {9, 10, 11, 12}, blocks[1], {}}));
  ASSERT_OK(cache.freeSequence(SequenceId{1}));
  ASSERT_OK(manager.createCheckpoint(cache, "a", &tree));
  PagedKVCache other = SmallCache::make();
  RecordTree restored(other);
  ASSERT_OK(manager.loadCheckpoint(other, "a", &restored));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
  EXPECT_OK(other.checkInvariants(restored.held()));
  ASSERT_EQ(restored.records.size(), 2u);
  EXPECT_EQ(restored.records[1].tokens, tree.records[1].tokens);
  EXPECT_EQ(restored.records[1].parent, 0u);
  EXPECT_EQ(restored.records[0].key, tree.records[0].key);
  EXPECT_EQ(restored.records[0].attributes, tree.records[0].attributes);
  // Sequence 2 began as a fork of 1: it shares the tree's blocks.
  EXPECT_EQ((*other.blocks(SequenceId{2}))[0], restored.records[0].block);
}

TEST_F(CheckpointManagerTest, CompressesPages) {
  CheckpointOptions options;
  options.compressionLevel = 3;
  CheckpointManager compressing("folder", options, files);
  ASSERT_OK(appendTokens(cache, 1, 14, 1));
  Status status = compressing.createCheckpoint(cache, "a");
  if (status.code() == StatusCode::Unimplemented)
    GTEST_SKIP() << status.message();
  ASSERT_OK(status);
  EXPECT_LT(compressing.lastSave().bytesWritten, 4u * size_t(cache.layout().block_stride));
  PagedKVCache other = SmallCache::make();
  // The manifest says how each page is stored: any manager reads it, and uses it again.
  ASSERT_OK(manager.loadCheckpoint(other, "a"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  EXPECT_EQ(manager.lastSave().pagesReused, 4);
}

TEST_F(CheckpointManagerTest, RepairsACatalog) {
  fill();
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  files.setContent("folder/catalog", {1, 2, 3});
  EXPECT_EQ(manager.loadCheckpoint(cache, "a").code(), StatusCode::DataLoss);
  EXPECT_EQ(manager.createCheckpoint(cache, "c").code(), StatusCode::DataLoss);
  EXPECT_EQ(manager.cleanupCheckpoints(1).code(), StatusCode::DataLoss);
  ASSERT_OK(manager.repairCatalog());
  EXPECT_THAT(names(), ElementsAre("a", "b"));
  EXPECT_OK(manager.verifyCheckpoint("a"));
  PagedKVCache other = SmallCache::make();
  ASSERT_OK(manager.loadCheckpoint(other, "b"));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
}

TEST_F(CheckpointManagerTest, KeepsPagesWhileAManifestIsDamaged) {
  fill();
  ASSERT_OK(manager.createCheckpoint(cache, "a"));
  ASSERT_OK(appendTokens(cache, 4, 4, 4));
  ASSERT_OK(manager.createCheckpoint(cache, "b"));
  ASSERT_OK(manager.createCheckpoint(cache, "c"));
  std::string path = "folder/000000000002.manifest";
  std::vector<uint8_t> bytes = files.content(path);
  bytes[bytes.size() / 2] ^= 4;
  files.setContent(path, bytes);
  Status status = manager.cleanupCheckpoints(2);
  EXPECT_EQ(status.code(), StatusCode::DataLoss);
  EXPECT_THAT(status.message(), HasSubstr("no pages were given back: " + path));
  EXPECT_THAT(names(), ElementsAre("b", "c"));
  EXPECT_OK(manager.verifyCheckpoint("c"));
  ASSERT_OK(manager.removeCheckpoint("b"));
  EXPECT_OK(manager.verifyCheckpoint("c"));
}

} // namespace
