// SCENARIOS, Checkpoints: a save, an incremental save, a replacement and a clean-up, each stopped
// at every one of its operations, with torn writes, with unflushed data lost, reordered or kept,
// with a full disk and with failing calls: the next start finds the old set of checkpoints or the
// new one, each as it was saved, and can go on from there.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <functional>
#include <set>

using namespace llmir;

namespace {

/// Checkpoints by name, and what is in them.
using CheckpointSet = std::map<std::string, CachePicture>;

class Story {
public:
  /// A change of the folder, under test.
  using Change = std::function<Status(CheckpointManager &)>;

  PagedKVCache cache = SmallCache::make();
  FaultyFileSystem files; ///< The folder before the change.
  CheckpointSet before, after;
  Change change;

  void save(const std::string &name) {
    CheckpointManager manager("f", {}, files);
    ASSERT_OK(manager.createCheckpoint(cache, name));
    before[name] = pictureOf(cache);
  }
  void willSave(const std::string &name) {
    after = before;
    after[name] = pictureOf(cache);
    change = [this, name](CheckpointManager &manager) {
      return manager.createCheckpoint(cache, name);
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
    CheckpointManager manager("f", {}, disk);
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
    EXPECT_OK(manager.loadCheckpoint(cache, info.name));
    found[info.name] = pictureOf(cache);
    EXPECT_OK(cache.checkInvariants());
  }
  return found;
}

/// That the change can be made now, whatever happened before, and leaves nothing superfluous.
void expectUsable(const Story &story, FaultyFileSystem &disk) {
  CheckpointManager manager("f", {}, disk);
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
      CheckpointManager manager("f", {}, disk);
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
      CheckpointManager manager("f", {}, disk);
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
    CheckpointManager manager("f", {}, disk);
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
    CheckpointManager manager("f", {}, disk);
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
  const char *names[] = {"FirstSave", "IncrementalSave", "Replacement", "CleanUp"};
  return names[info.index];
}

INSTANTIATE_TEST_SUITE_P(Stories, CheckpointCrashTest,
                         testing::Values(firstSave, incrementalSave, replacement, cleanUp),
                         storyName);

} // namespace
