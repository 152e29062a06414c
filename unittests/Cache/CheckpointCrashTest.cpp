// SCENARIOS, Checkpoints: a save, an incremental save, a replacement and a clean-up, each stopped
// at every one of its operations, with torn writes, with unflushed data lost, reordered or kept,
// with a full disk and with failing calls: the next start finds the old set of checkpoints or the
// new one, each as it was saved, and can go on from there. One of the stories has a prefix tree and
// compressed pages.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include "llmir/Cache/PrefixTreeCheckpoint.h"

#include <functional>
#include <set>

using namespace llmir;

namespace {

/// All that a user can see of a cache and of its tree, but for the numbers of uses.
struct Picture {
  struct Block {
    std::vector<int32_t> tokens;
    std::vector<uint8_t> bytes;
    friend bool operator==(const Block &, const Block &) = default;
  };
  CachePicture cache;
  std::map<std::array<uint8_t, 32>, Block> tree; ///< By the key of the block.
  friend bool operator==(const Picture &, const Picture &) = default;
};

Picture pictureOf(const PagedKVCache &cache, PrefixTree &tree) {
  Picture picture{pictureOf(cache), {}};
  for (const TreeRecord &record : PrefixTreeCheckpoint(tree).exportRecords()) {
    std::span<const uint8_t> bytes = *cache.blockBytes(record.block);
    picture.tree[record.key] = {record.tokens, {bytes.begin(), bytes.end()}};
  }
  return picture;
}

/// Checkpoints by name, and what is in them.
using CheckpointSet = std::map<std::string, Picture>;

class Story {
public:
  /// A change of the folder, under test.
  using Change = std::function<Status(CheckpointManager &)>;

  PagedKVCache cache = SmallCache::make();
  PrefixTree tree{cache};
  CheckpointOptions options;
  FaultyFileSystem files; ///< The folder before the change.
  CheckpointSet before, after;
  Change change;

  CheckpointManager managerOf(FaultyFileSystem &disk) const {
    return CheckpointManager("f", options, disk);
  }
  void save(const std::string &name) {
    CheckpointManager manager = managerOf(files);
    PrefixTreeCheckpoint records(tree);
    ASSERT_OK(manager.createCheckpoint(cache, name, &records));
    before[name] = pictureOf(cache, tree);
  }
  void willSave(const std::string &name) {
    after = before;
    after[name] = pictureOf(cache, tree);
    change = [this, name](CheckpointManager &manager) {
      PrefixTreeCheckpoint records(tree);
      return manager.createCheckpoint(cache, name, &records);
    };
  }
  void willCleanUp(int64_t keep, const std::set<std::string> &kept) {
    for (const auto &entry : before)
      if (kept.count(entry.first) != 0)
        after.insert(entry);
    change = [keep](CheckpointManager &manager) { return manager.cleanupCheckpoints(keep); };
  }

  /// Operations of the change when nothing goes wrong.
  int64_t numOperations(std::map<int64_t, size_t> &appends) const {
    FaultyFileSystem disk = files.copy();
    CheckpointManager manager = managerOf(disk);
    EXPECT_OK(change(manager));
    appends = disk.appends();
    return disk.operations();
  }
};

void firstSave(Story &story) {
  ASSERT_OK(appendTokens(story.cache, 1, 6, 1));
  ASSERT_OK(story.cache.fork(SequenceId{1}, SequenceId{2}));
  story.willSave("first");
}

void incrementalSave(Story &story) {
  ASSERT_OK(appendTokens(story.cache, 1, 6, 1));
  ASSERT_OK(story.cache.fork(SequenceId{1}, SequenceId{2}));
  story.save("first");
  ASSERT_OK(appendTokens(story.cache, 2, 4, 2));
  story.willSave("second");
}

void replacement(Story &story) {
  ASSERT_OK(appendTokens(story.cache, 1, 8, 1));
  ASSERT_OK(appendTokens(story.cache, 2, 8, 2));
  story.save("same");
  ASSERT_OK(story.cache.freeSequence(SequenceId{1}));
  ASSERT_OK(appendTokens(story.cache, 3, 5, 3));
  story.willSave("same");
}

void cleanUp(Story &story) {
  for (int32_t i = 1; i <= 4; ++i) {
    ASSERT_OK(appendTokens(story.cache, i, 8, i));
    story.save("c" + std::to_string(i));
    if (i == 2)
      ASSERT_OK(story.cache.freeSequence(SequenceId{1}));
    if (i == 3)
      ASSERT_OK(story.cache.freeSequence(SequenceId{2}));
  }
  story.willCleanUp(2, {"c3", "c4"});
}

/// A prompt that was remembered, one that shares its first block, and pages of zstd.
void treeAndCompression(Story &story) {
  story.options.compressionLevel = 3;
  // Each head of each token has one number, so that pages shrink.
  auto append = [&](int32_t sequence, int64_t tokens) {
    std::vector<float> data(
        size_t(tokens * SmallCache::layers * SmallCache::heads * SmallCache::headDim));
    for (size_t i = 0; i < data.size(); ++i)
      data[i] = float(sequence * 1000 + int32_t(i) / int32_t(SmallCache::headDim));
    ASSERT_OK(story.cache.appendKV(data.data(), data.data(), 1, tokens, &sequence, nullptr));
  };
  std::vector<int32_t> first = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  append(1, 9);
  ASSERT_OK(story.tree.insert(first, *story.cache.blocks(SequenceId{1})).status());
  ASSERT_OK(story.cache.freeSequence(SequenceId{1})); // The tree's alone from now on.
  story.save("first");
  std::vector<int32_t> prompt = {1, 2, 3, 4, 15, 16, 17, 18};
  PrefixMatch match = story.tree.match(prompt);
  ASSERT_EQ(match.length, 4);
  ASSERT_OK(story.cache.attach(SequenceId{2}, match.blocks, match.length));
  append(2, 4);
  ASSERT_OK(story.tree.insert(prompt, *story.cache.blocks(SequenceId{2})).status());
  story.willSave("second");
  FaultyFileSystem disk = story.files.copy();
  CheckpointManager manager = story.managerOf(disk);
  ASSERT_OK(story.change(manager));
  ASSERT_EQ(manager.lastSave().pagesWritten, 1);
  ASSERT_LT(int64_t(manager.lastSave().bytesWritten), story.cache.layout().block_stride * 15 / 16);
}

/// The checkpoints that a start on `disk` finds; every one must load.
CheckpointSet readSet(FaultyFileSystem &disk) {
  CheckpointManager manager("f", {}, disk);
  CheckpointSet found;
  auto infos = manager.listCheckpoints();
  EXPECT_OK(infos.status());
  if (!infos)
    return found;
  for (const CheckpointInfo &info : *infos) {
    PagedKVCache cache = SmallCache::make();
    PrefixTree tree(cache);
    PrefixTreeCheckpoint records(tree);
    EXPECT_OK(manager.loadCheckpoint(cache, info.name, &records));
    found[info.name] = pictureOf(cache, tree);
    std::vector<BlockId> held;
    tree.appendHeldBlocks(held);
    EXPECT_OK(cache.checkInvariants(held));
    EXPECT_OK(tree.checkInvariants());
  }
  return found;
}

/// That the change can be made now, whatever happened before, and leaves nothing superfluous.
void expectUsable(const Story &story, FaultyFileSystem &disk) {
  CheckpointManager manager = story.managerOf(disk);
  EXPECT_OK(story.change(manager));
  EXPECT_EQ(readSet(disk), story.after);
  EXPECT_OK(manager.cleanupCheckpoints(100));
  std::set<std::string> numbers;
  for (const std::string &path : disk.paths()) {
    EXPECT_EQ(path.find("partial"), std::string::npos) << path;
    if (path.ends_with(".manifest"))
      numbers.insert(path);
  }
  EXPECT_EQ(numbers.size(), story.after.size());
}

void expectOldOrNew(const Story &story, FaultyFileSystem disk, bool &isNew) {
  CheckpointSet found = readSet(disk);
  EXPECT_TRUE(found == story.before || found == story.after)
      << "neither the old set nor the new one, but " << found.size() << " checkpoints";
  isNew = found == story.after;
  expectUsable(story, disk);
}

/// What may be left on the disk.
std::vector<FaultyFileSystem> restarts(const FaultyFileSystem &disk, uint32_t numRandom) {
  std::vector<FaultyFileSystem> result;
  for (CrashModel model :
       {CrashModel::KeepAll, CrashModel::LoseAll, CrashModel::NamesOnly, CrashModel::DataOnly})
    result.push_back(disk.restart(model));
  for (uint32_t seed = 0; seed < numRandom; ++seed)
    result.push_back(disk.restart(CrashModel::Random, seed));
  return result;
}

class CheckpointCrashTest : public testing::TestWithParam<void (*)(Story &)> {
protected:
  void SetUp() override {
    GetParam()(story);
    operations = story.numOperations(appends);
    ASSERT_GT(operations, 3);
    ASSERT_NE(story.before, story.after);
  }

  /// Bytes that an append may keep when it is the last operation.
  std::set<size_t> tears(int64_t operation) const {
    auto append = appends.find(operation);
    if (append == appends.end())
      return {0};
    size_t size = append->second;
    return {0, 1, size / 2, size - 1, size};
  }

  Story story;
  int64_t operations = 0;
  std::map<int64_t, size_t> appends;
};

TEST_P(CheckpointCrashTest, Scenario_Checkpoints_KilledAtEveryWriteBoundary) {
  bool hadOld = false, hadNew = false;
  for (int64_t operation = 0; operation <= operations; ++operation)
    for (size_t kept : tears(operation)) {
      SCOPED_TRACE("operation " + std::to_string(operation) + ", " + std::to_string(kept) +
                   " bytes of it");
      FaultyFileSystem disk = story.files.copy();
      disk.stopAt(operation, kept);
      CheckpointManager manager = story.managerOf(disk);
      bool isDurable = story.change(manager).isOk();
      for (FaultyFileSystem &after : restarts(disk, 8)) {
        bool isNew = false;
        expectOldOrNew(story, after, isNew);
        // What was reported as done is there, whatever stops.
        EXPECT_TRUE(isNew || !isDurable);
        (isNew ? hadNew : hadOld) = true;
      }
      if (HasFailure())
        return;
    }
  EXPECT_TRUE(hadOld && hadNew);
}

TEST_P(CheckpointCrashTest, TheNextProcessIsStoppedToo) {
  // What the first one renamed may not be durable when the second one cleans up behind it.
  for (int64_t first = 0; first <= operations; ++first) {
    bool isSecondDone = false;
    for (int64_t second = 0; !isSecondDone; ++second) {
      SCOPED_TRACE("operations " + std::to_string(first) + " and " + std::to_string(second));
      FaultyFileSystem disk = story.files.copy();
      disk.stopAt(first, 0);
      CheckpointManager manager = story.managerOf(disk);
      (void)story.change(manager);
      disk.resume();
      disk.stopAt(second, 0);
      (void)manager.cleanupCheckpoints(100);
      isSecondDone = !disk.isStopped();
      for (FaultyFileSystem &after : restarts(disk, 2)) {
        CheckpointSet found = readSet(after);
        ASSERT_TRUE(found == story.before || found == story.after);
      }
      if (HasFailure())
        return;
    }
  }
}

TEST_P(CheckpointCrashTest, AFailingCallLeavesOldOrNew) {
  for (int64_t operation = 0; operation < operations; ++operation) {
    SCOPED_TRACE("operation " + std::to_string(operation));
    FaultyFileSystem disk = story.files.copy();
    disk.failAt(operation);
    CheckpointManager manager = story.managerOf(disk);
    bool isDone = story.change(manager).isOk();
    // The process goes on, or everything stops.
    for (FaultyFileSystem &after : restarts(disk, 4)) {
      bool isNew = false;
      expectOldOrNew(story, after, isNew);
      EXPECT_TRUE(isNew || !isDone);
    }
    expectUsable(story, disk);
  }
}

TEST_P(CheckpointCrashTest, AFullDiskLeavesTheOldSet) {
  uint64_t used = story.files.bytesUsed();
  bool hasFailed = false, hasWorked = false;
  for (uint64_t room = 0; !hasWorked; room += 509) {
    SCOPED_TRACE(std::to_string(room) + " bytes left");
    FaultyFileSystem disk = story.files.copy();
    disk.setCapacity(used + room);
    CheckpointManager manager = story.managerOf(disk);
    Status status = story.change(manager);
    hasWorked = status.isOk();
    hasFailed |= !hasWorked;
    if (!hasWorked) {
      EXPECT_EQ(status.code(), StatusCode::ResourceExhausted) << status.message();
      // Nothing of the attempt is left but the lock.
      EXPECT_LE(disk.paths().size(), story.files.paths().size() + 1);
      EXPECT_EQ(disk.bytesUsed(), used);
    }
    EXPECT_EQ(readSet(disk), hasWorked ? story.after : story.before);
    disk.setCapacity(std::numeric_limits<uint64_t>::max());
    expectUsable(story, disk);
  }
  EXPECT_TRUE(hasFailed);
}

std::string storyName(const testing::TestParamInfo<void (*)(Story &)> &info) {
  const char *names[] = {"FirstSave", "IncrementalSave", "Replacement", "CleanUp",
                         "TreeAndCompression"};
  return names[info.index];
}

INSTANTIATE_TEST_SUITE_P(Stories, CheckpointCrashTest,
                         testing::Values(firstSave, incrementalSave, replacement, cleanUp,
                                         treeAndCompression),
                         storyName);

} // namespace
