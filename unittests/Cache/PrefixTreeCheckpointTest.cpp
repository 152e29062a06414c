// PrefixTreeCheckpoint: a prefix tree comes back with its blocks, shared with the sequences that
// shared them, in the order of eviction that it had; and refuses records that do not fit their
// keys.

#include "llmir/Cache/PrefixTreeCheckpoint.h"

#include "CheckpointFixture.h"
#include "FaultyFileSystem.h"

#include <gmock/gmock.h>
#include <numeric>

using namespace llmir;
using testing::HasSubstr;

namespace {

std::vector<int32_t> tokensFrom(int32_t first, size_t count) {
  std::vector<int32_t> tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

class PrefixTreeCheckpointTest : public testing::Test {
protected:
  /// Computes `tokens` as a sequence, inserts it and forgets the sequence.
  void learn(const std::vector<int32_t> &tokens, const PrefixNamespace &nameSpace = {}) {
    PrefixMatch match = tree.match(tokens, nameSpace);
    ASSERT_OK(cache.attach(SequenceId{99}, match.blocks, match.length));
    ASSERT_OK(appendTokens(cache, 99, static_cast<int64_t>(tokens.size()) - match.length,
                           tokens[0] + static_cast<int32_t>(match.length)));
    ASSERT_OK(tree.insert(tokens, *cache.blocks(SequenceId{99}), nameSpace).status());
    ASSERT_OK(cache.freeSequence(SequenceId{99}));
  }

  std::vector<PrefixKey> keys(const PrefixTree &of) {
    std::vector<PrefixKey> result;
    of.visit([&](const PrefixBlockView &view) { result.push_back(view.key); });
    return result;
  }

  FaultyFileSystem files;
  CheckpointManager manager{"f", {}, files};
  PagedKVCache cache = SmallCache::make(), other = SmallCache::make();
  PrefixTree tree{cache}, restored{other};
};

TEST_F(PrefixTreeCheckpointTest, RestoresPrefixesAndEvictionOrder) {
  learn(tokensFrom(0, 16));
  learn({0, 1, 2, 3, 90, 91, 92, 93});
  learn(tokensFrom(50, 8), {"tenant", 3});
  (void)tree.match(tokensFrom(0, 17)); // Now the first prefix was used last.
  PrefixTreeCheckpoint saved(tree), target(restored);
  ASSERT_OK(manager.createCheckpoint(cache, "a", &saved));
  ASSERT_OK(manager.loadCheckpoint(other, "a", &target));
  EXPECT_EQ(keys(restored), keys(tree));
  EXPECT_OK(restored.checkInvariants());
  std::vector<BlockId> held;
  restored.appendHeldBlocks(held);
  EXPECT_OK(other.checkInvariants(held));
  EXPECT_EQ(restored.match(tokensFrom(0, 17)).length, 16);
  EXPECT_EQ(restored.match(tokensFrom(50, 9)).length, 0);
  EXPECT_EQ(restored.match(tokensFrom(50, 9), {"tenant", 3}).length, 8);
}

TEST_F(PrefixTreeCheckpointTest, EvictsWhatWasUsedLongestAgo) {
  learn(tokensFrom(0, 8));
  learn(tokensFrom(100, 8));
  (void)tree.match(tokensFrom(0, 9));
  PrefixTreeCheckpoint saved(tree), target(restored);
  ASSERT_OK(manager.createCheckpoint(cache, "a", &saved));
  ASSERT_OK(manager.loadCheckpoint(other, "a", &target));
  EXPECT_EQ(restored.evict(2), 2);
  EXPECT_EQ(restored.match(tokensFrom(100, 9)).length, 0);
  EXPECT_EQ(restored.match(tokensFrom(0, 9)).length, 8);
}

TEST_F(PrefixTreeCheckpointTest, SharesBlocksWithSequences) {
  std::vector<int32_t> tokens = tokensFrom(0, 9);
  learn(tokens);
  PrefixMatch match = tree.match(tokens);
  ASSERT_EQ(match.length, 8);
  ASSERT_OK(cache.attach(SequenceId{1}, match.blocks, match.length));
  PrefixTreeCheckpoint saved(tree), target(restored);
  ASSERT_OK(manager.createCheckpoint(cache, "a", &saved));
  EXPECT_EQ(manager.lastSave().blocks, 2);
  ASSERT_OK(manager.loadCheckpoint(other, "a", &target));
  EXPECT_EQ(pictureOf(other), pictureOf(cache));
  PrefixMatch again = restored.match(tokens);
  std::span<const BlockId> blocks = *other.blocks(SequenceId{1});
  EXPECT_TRUE(std::equal(blocks.begin(), blocks.end(), again.blocks.begin(), again.blocks.end()));
}

TEST_F(PrefixTreeCheckpointTest, RefusesRecordsThatDoNotFit) {
  learn(tokensFrom(0, 8));
  PrefixTreeCheckpoint target(tree);
  std::vector<TreeRecord> records = target.exportRecords();
  ASSERT_EQ(records.size(), 2u);
  auto refuse = [&](const char *message, auto damage) {
    std::vector<TreeRecord> damaged = records;
    damage(damaged);
    Status status = target.importRecords(damaged);
    EXPECT_EQ(status.code(), StatusCode::DataLoss);
    EXPECT_THAT(status.message(), HasSubstr(message));
  };
  refuse("prefix tree block 1: expected key", [](auto &r) { ++r[1].tokens[2]; });
  refuse("prefix tree block 0: expected key", [](auto &r) { r[0].key[5] ^= 1; });
  refuse("expected 4 tokens, but got 3", [](auto &r) { r[1].tokens.pop_back(); });
  refuse("expected its parent before it", [](auto &r) { r[1].parent = 1; });
  refuse("'namespace'", [](auto &r) { r[0].attributes.resize(9); });
  refuse("left over", [](auto &r) { r[1].attributes.push_back(0); });
  EXPECT_OK(tree.checkInvariants());
}

} // namespace
