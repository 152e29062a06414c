// MappedCheckpoint: sequences attached one at a time, in any order, share what they shared; blocks
// that others still need are not written into meanwhile.

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>

using namespace llmir;
using testing::HasSubstr;

namespace {

class MappedCheckpointTest : public testing::Test {
protected:
  void SetUp() override {
    // 1 and 2 share a full block and a half-full one; 3 is alone.
    ASSERT_OK(appendTokens(cache, 1, 6, 1));
    ASSERT_OK(cache.fork(SequenceId{1}, SequenceId{2}));
    ASSERT_OK(appendTokens(cache, 3, 9, 3));
    saved = pictureOf(cache);
    ASSERT_OK(manager.createCheckpoint(cache, "a"));
  }

  void expectInvariants(const MappedCheckpoint &mapped) {
    EXPECT_OK(target.checkInvariants(mapped.heldBlocks()));
  }

  FaultyFileSystem files;
  CheckpointManager manager{"f", {}, files};
  PagedKVCache cache = SmallCache::make(), target = SmallCache::make();
  CachePicture saved;
};

TEST_F(MappedCheckpointTest, AttachesInAnyOrder) {
  std::vector<int32_t> order = {1, 2, 3};
  do {
    PagedKVCache fresh = SmallCache::make();
    auto mapped = manager.mapCheckpoint(fresh, "a");
    ASSERT_OK(mapped.status());
    for (int32_t id : order) {
      ASSERT_OK(mapped->attach(SequenceId{id}));
      ASSERT_OK(fresh.checkInvariants(mapped->heldBlocks()));
    }
    EXPECT_TRUE(mapped->heldBlocks().empty());
    EXPECT_EQ(pictureOf(fresh), saved);
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(MappedCheckpointTest, KeepsSharedBlocksFromBeingWritten) {
  auto mapped = manager.mapCheckpoint(target, "a");
  ASSERT_OK(mapped.status());
  ASSERT_OK(mapped->attach(SequenceId{1}));
  ASSERT_OK(target.truncate(SequenceId{1}, 2));
  ASSERT_OK(appendTokens(target, 1, 3, 8));
  ASSERT_OK(mapped->attach(SequenceId{2}));
  expectInvariants(*mapped);
  CachePicture now = pictureOf(target);
  EXPECT_EQ(now.sequences[2].keys, saved.sequences[2].keys);
  EXPECT_EQ(now.sequences[2].values, saved.sequences[2].values);
}

TEST_F(MappedCheckpointTest, ReadsOnlyWhatIsAttached) {
  auto mapped = manager.mapCheckpoint(target, "a");
  ASSERT_OK(mapped.status());
  EXPECT_EQ(target.pool().numFree(), 32);
  ASSERT_OK(mapped->attach(SequenceId{3}));
  EXPECT_EQ(target.pool().numFree(), 29);
}

TEST_F(MappedCheckpointTest, AttachesUnderAnotherIdAndAgain) {
  ASSERT_OK(appendTokens(target, 1, 3, 5));
  {
    auto mapped = manager.mapCheckpoint(target, "a");
    ASSERT_OK(mapped.status());
    EXPECT_EQ(mapped->attach(SequenceId{1}).code(), StatusCode::FailedPrecondition);
    EXPECT_EQ(mapped->attach(SequenceId{4}).code(), StatusCode::NotFound);
    ASSERT_OK(mapped->attach(SequenceId{1}, SequenceId{11}));
    ASSERT_OK(mapped->attach(SequenceId{1}, SequenceId{12}));
    ASSERT_OK(mapped->attach(SequenceId{3}, SequenceId{13}));
    ASSERT_OK(mapped->attach(SequenceId{3}, SequenceId{14}));
    expectInvariants(*mapped);
  }
  // Sequence 2 was never attached: what was held for it is given back.
  EXPECT_OK(target.checkInvariants());
  CachePicture now = pictureOf(target);
  for (int32_t id : {11, 12})
    EXPECT_EQ(now.sequences[id].keys, saved.sequences[1].keys);
  for (int32_t id : {13, 14})
    EXPECT_EQ(now.sequences[id].keys, saved.sequences[3].keys);
}

TEST_F(MappedCheckpointTest, AFullPoolIsAsBefore) {
  PagedKVCache small = SmallCache::make(4);
  ASSERT_OK(appendTokens(small, 9, 7, 9));
  auto mapped = manager.mapCheckpoint(small, "a");
  ASSERT_OK(mapped.status());
  Status status = mapped->attach(SequenceId{3});
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr("block pool exhausted"));
  EXPECT_EQ(small.pool().numFree(), 2);
  EXPECT_OK(mapped->attach(SequenceId{1}));
  EXPECT_EQ(small.pool().numFree(), 0);
  EXPECT_OK(small.checkInvariants(mapped->heldBlocks()));
}

TEST_F(MappedCheckpointTest, MovesItsBlocksAlong) {
  std::optional<MappedCheckpoint> moved;
  {
    auto mapped = manager.mapCheckpoint(target, "a");
    ASSERT_OK(mapped.status());
    ASSERT_OK(mapped->attach(SequenceId{1}));
    moved.emplace(*std::move(mapped));
  }
  expectInvariants(*moved);
  auto other = manager.mapCheckpoint(target, "a");
  ASSERT_OK(other.status());
  *moved = *std::move(other);
  expectInvariants(*moved);
  moved.reset();
  EXPECT_OK(target.checkInvariants());
  EXPECT_EQ(target.pool().numFree(), 30);
}

} // namespace
