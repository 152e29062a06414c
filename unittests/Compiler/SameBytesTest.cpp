// Same bytes: whatever happens to its cache, a sequence of SmolLM2 gets the logits that it gets
// alone in a cold cache, byte for byte: after a prefix hit, a fork, a rollback, in blocks that
// others used before, after preemption, from a restored checkpoint, and in a pool that is full to
// the last block.

#include "SameBytesFixture.h"

#include "llmir/Cache/CheckpointManager.h"

using namespace llmir;
using namespace llmir::testing;

TEST_P(SameBytesTest, PrefixHitInAFullPool) {
  Logits expected = cold(continued);
  ServedSequences served = serve(12);
  served.feed(other, prompt);
  // Whole blocks; then a length inside the third block, which is copied.
  for (size_t cached : {size_t(48), size_t(37), size_t(1)}) {
    std::span<const BlockId> blocks = *served.cache.blocks(SequenceId{other});
    std::vector<BlockId> prefix(blocks.begin(), blocks.begin() + int64_t(cached + 15) / 16);
    ASSERT_TRUE(served.cache.attach(SequenceId{asked}, prefix, int64_t(cached)).isOk());
    Logits first = served.feed(asked, slice(continued, cached, 60));
    served.fillPool(strangers);
    expectRows(first, expected, cached);
    expectRows(served.feed(asked, slice(continued, 60, 64)), expected, 60);
    served.freeFrom(strangers);
    expectRows(served.feed(asked, slice(continued, 64, 70)), expected, 64);
    ASSERT_TRUE(served.cache.freeSequence(SequenceId{asked}).isOk());
  }
  // Nobody wrote into the blocks that were shared.
  expectRows(served.feed(other, slice(continued, 53, 70)), expected, 53);
}

TEST_P(SameBytesTest, ForksInAFullPool) {
  Tokens mine = prompt, theirs = prompt, drafts = makeTokens(9, 11);
  mine.insert(mine.end(), continued.begin() + 53, continued.begin() + 64);
  theirs.insert(theirs.end(), drafts.begin(), drafts.end());
  Logits expectedMine = cold(mine), expectedTheirs = cold(theirs);
  ServedSequences served = serve(5); // Three shared blocks and a last one for each.
  expectRows(served.feed(asked, prompt), cold(prompt), 0);
  ASSERT_TRUE(served.cache.fork(SequenceId{asked}, SequenceId{other}).isOk());
  // The child writes first, into a copy; then both in one step.
  expectRows(served.feed(other, slice(theirs, 53, 54)), expectedTheirs, 53);
  EXPECT_EQ(served.cache.pool().numFree(), 0);
  expectRows(served.feed(asked, slice(mine, 53, 54)), expectedMine, 53);
  for (size_t i = 54; i < 64; ++i) {
    std::vector<Logits> rows =
        served.step({{other, slice(theirs, i, i + 1)}, {asked, slice(mine, i, i + 1)}});
    expectRows(rows[0], expectedTheirs, i);
    expectRows(rows[1], expectedMine, i);
  }
}

TEST_P(SameBytesTest, RollbackInAFullPool) {
  Logits expected = cold(continued);
  ServedSequences served = serve(8);
  served.feed(asked, prompt);
  // Drafts within the last block, over its end, and over two ends; rejected at once or in part.
  size_t length = prompt.size();
  for (size_t drafts : {2, 9, 30}) {
    Tokens wrong = makeTokens(uint32_t(drafts), drafts);
    wrong[0] = continued[length];
    served.feed(asked, wrong);
    served.fillPool(strangers);
    ++length; // The first draft was right.
    ASSERT_TRUE(served.cache.truncate(SequenceId{asked}, int64_t(length)).isOk());
    Logits rows = served.feed(asked, slice(continued, length, length + 1));
    expectRows(rows, expected, length);
    ++length;
    served.freeFrom(strangers);
  }
  ASSERT_TRUE(served.cache.truncate(SequenceId{asked}, 20).isOk());
  expectRows(served.feed(asked, slice(continued, 20, 70)), expected, 20);
}

TEST_P(SameBytesTest, FreedAndRefilledBlocks) {
  Logits expected = cold(continued);
  ServedSequences served = serve(5);
  for (int32_t round = 0; round < 3; ++round) {
    served.fillPool(strangers);
    served.freeFrom(strangers);
    served.cache.shuffleFreeBlocks(uint64_t(round) + 30);
    // In chunks of uneven size, into blocks full of what strangers wrote.
    Logits rows;
    for (size_t first = 0, size = 7; first < continued.size(); first += size, size = 20) {
      Logits more =
          served.feed(asked, slice(continued, first, std::min(first + size, continued.size())));
      rows.insert(rows.end(), more.begin(), more.end());
    }
    EXPECT_EQ(served.cache.pool().numFree(), 0);
    expectRows(rows, expected, 0);
    ASSERT_TRUE(served.cache.freeSequence(SequenceId{asked}).isOk());
  }
}

TEST_P(SameBytesTest, PreemptedAndResumed) {
  Logits expected = cold(continued);
  ServedSequences served = serve(6);
  served.feed(asked, prompt);
  served.feed(asked, slice(continued, 53, 57));
  ASSERT_TRUE(served.cache.freeSequence(SequenceId{asked}).isOk());
  served.fillPool(strangers);
  served.freeFrom(strangers);
  // The prompt and what was generated are computed again as one prompt.
  expectRows(served.feed(asked, slice(continued, 0, 57)), expected, 0);
  served.fillPool(strangers);
  expectRows(served.feed(asked, slice(continued, 57, 64)), expected, 57);
}

TEST_P(SameBytesTest, RestoredCheckpointInAFullPool) {
  Logits expected = cold(continued);
  mlir::llm::TestFolder folder;
  CheckpointManager manager(folder.path("checkpoints"), {.model = model->manifest().fingerprint});
  {
    ServedSequences served = serve(10, 3);
    served.feed(asked, prompt);
    ASSERT_TRUE(served.cache.fork(SequenceId{asked}, SequenceId{other}).isOk());
    served.fillPool(strangers);
    Status status = manager.createCheckpoint(served.cache, "full");
    ASSERT_TRUE(status.isOk()) << status.message();
  }
  // Into other blocks, full of what strangers wrote, none of them free.
  ServedSequences served = serve(10, 8);
  served.fillPool(strangers);
  Status status = manager.loadCheckpoint(served.cache, "full");
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_EQ(served.cache.pool().numFree(), 0);
  served.freeFrom(strangers + 1);
  expectRows(served.feed(asked, slice(continued, 53, 56)), expected, 53);
  expectRows(served.feed(other, slice(continued, 53, 70)), expected, 53);
  expectRows(served.feed(asked, slice(continued, 56, 60)), expected, 56);
}

TEST_P(SameBytesTest, BatchInAFullPool) {
  std::vector<Tokens> tokens;
  std::vector<Logits> expected;
  for (uint32_t i = 0; i < 4; ++i) {
    tokens.push_back(makeTokens(60 + i, 19 + 7 * i));
    expected.push_back(cold(tokens.back()));
  }
  ServedSequences served = serve(11); // 2 + 2 + 3 + 3 and one for a stranger.
  served.feed(strangers, makeTokens(3, 16));
  std::vector<Logits> rows(4);
  for (size_t first = 0; first < 40; first += 5) {
    std::vector<ServedSequences::Feed> feeds;
    std::vector<size_t> fed;
    for (size_t i = 0; i < 4; ++i)
      if (first < tokens[i].size()) {
        feeds.push_back(
            {int32_t(i), slice(tokens[i], first, std::min(first + 5, tokens[i].size()))});
        fed.push_back(i);
      }
    std::vector<Logits> all = served.step(feeds);
    for (size_t i = 0; i < fed.size(); ++i)
      rows[fed[i]].insert(rows[fed[i]].end(), all[i].begin(), all[i].end());
  }
  EXPECT_EQ(served.cache.pool().numFree(), 0);
  for (size_t i = 0; i < 4; ++i)
    expectRows(rows[i], expected[i], 0);
}

INSTANTIATE_TEST_SUITE_P(Storage, SameBytesTest, ::testing::ValuesIn(storages()),
                         [](const ::testing::TestParamInfo<KVStorage> &info) {
                           return std::string(info.param.name);
                         });
