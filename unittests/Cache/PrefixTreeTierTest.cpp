// PrefixTree with a store: eviction to it, matches that read back, and a store that fails.

#include "PrefixTreeFixture.h"

#include <random>

using namespace llmir;

TEST_F(PrefixTreeTest, ReadsEvictedBlocksBack) {
  makeWithStore(16, 16);
  serve(range(0, 16));
  EXPECT_EQ(tree->evict(16), 4);
  EXPECT_EQ(tree->statistics().storedPages, 4);
  EXPECT_EQ(cache->pool().numFree(), 16);
  check();
  // Somebody else writes into the blocks meanwhile.
  ASSERT_TRUE(append(1, range(500, 64)).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 20)), 16); // serve() compares what the blocks hold
  EXPECT_EQ(tree->statistics().pagesRead, 4);
  // A copy that is in the store already is not written again.
  EXPECT_EQ(tree->evict(16), 5);
  EXPECT_EQ(tree->statistics().pagesWritten, 5);
}

TEST_F(PrefixTreeTest, MakesRoomInTheStoreFromItsOldestEnds) {
  makeWithStore(16, 4);
  serve(range(0, 8));
  serve(range(100, 8));
  tree->evict(16);
  EXPECT_EQ(tree->statistics().storedPages, 4);
  serve(range(200, 8));
  tree->evict(16);
  EXPECT_EQ(tree->statistics().storedPages, 4);
  check();
  EXPECT_EQ(tree->match(range(0, 9)).length, 0);
  EXPECT_EQ(tree->match(range(200, 9)).length, 8);
  EXPECT_EQ(tree->match(range(100, 9)).length, 8);
}

TEST_F(PrefixTreeTest, AdoptsTheBlockOfWhoComputedAStoredPrefixAgain) {
  makeWithStore(16, 16);
  serve(range(0, 8));
  ASSERT_TRUE(append(1, range(0, 8)).isOk());
  tree->evict(16);
  EXPECT_EQ(insert(1, range(0, 8)), 2);
  EXPECT_EQ(tree->statistics().pagesRead, 0);
  EXPECT_EQ(tree->match(range(0, 9)).length, 8);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
}

TEST_F(PrefixTreeTest, MatchesWhatThereIsRoomFor) {
  makeWithStore(8, 16);
  serve(range(0, 32));
  tree->evict(8);
  ASSERT_TRUE(append(1, range(500, 20)).isOk());
  PrefixMatch match = tree->match(range(0, 33)); // three blocks are left
  EXPECT_EQ(match.length, 12);
  check();
  ASSERT_TRUE(cache->attach(SequenceId{2}, match.blocks, match.length).isOk());
  expectReads(2, range(0, 12));
  EXPECT_EQ(append(2, range(12, 1)).code(), StatusCode::ResourceExhausted);
  check();
  expectReads(1, range(500, 20));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{2}).isOk());
}

// Reading the end of a prefix back must not evict its beginning.
TEST_F(PrefixTreeTest, KeepsWhatItHasMatchedWhileItReads) {
  makeWithStore(3, 16);
  serve(range(0, 12));
  serve(range(100, 12));
  PrefixMatch match = tree->match(range(0, 13));
  EXPECT_EQ(match.length, 12);
  ASSERT_TRUE(cache->attach(SequenceId{1}, match.blocks, match.length).isOk());
  expectReads(1, range(0, 12));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
}

TEST_F(PrefixTreeTest, ForgetsBlocksThatCannotBeWritten) {
  makeWithStore(16, 16);
  serve(range(0, 16));
  tree->evict(1);
  store->failsToWrite = true;
  EXPECT_EQ(tree->evict(2), 2);
  EXPECT_EQ(tree->storeStatus().message(), "the store is full");
  EXPECT_EQ(tree->statistics().storeFailures, 2);
  EXPECT_EQ(tree->statistics().storedPages, 0); // a page behind a lost block is of no use
  check();
  EXPECT_EQ(serve(range(0, 16)), 4);
}

TEST_F(PrefixTreeTest, ForgetsBlocksThatCannotBeReadBack) {
  makeWithStore(16, 16);
  serve(range(0, 16));
  serve(range(0, 4) + range(50, 8));
  tree->evict(16);
  EXPECT_EQ(tree->match(range(0, 5)).length, 4);
  store->failsToRead = true;
  EXPECT_EQ(serve(range(0, 16)), 4);
  EXPECT_EQ(tree->storeStatus().code(), StatusCode::DataLoss);
  store->failsToRead = false;
  EXPECT_EQ(serve(range(0, 4) + range(50, 8)), 11);
}

TEST_F(PrefixTreeTest, ReadsPinnedBlocksBackAndKeepsThem) {
  makeWithStore(4, 16);
  PrefixKeyChain keys = chain(range(0, 8));
  serve(range(0, 12));
  tree->evict(4);
  ASSERT_TRUE(append(1, range(500, 12)).isOk());
  EXPECT_EQ(tree->pin(keys).code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(tree->statistics().pinnedBlocks, 0);
  check();
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  ASSERT_TRUE(tree->pin(keys).isOk());
  EXPECT_EQ(tree->evict(4), 0);
  EXPECT_EQ(append(1, range(500, 12)).code(), StatusCode::ResourceExhausted);
  ASSERT_TRUE(tree->unpin(keys).isOk());
}

namespace {

/// What serving should find: the longest common prefix with what was served before, when nothing
/// was lost.
int64_t longestCommonPrefix(const std::vector<Tokens> &served, const Tokens &prompt) {
  int64_t longest = 0;
  for (const Tokens &other : served) {
    auto full = static_cast<std::ptrdiff_t>(other.size() / 4 * 4);
    auto [end, rest] =
        std::mismatch(prompt.begin(), prompt.end(), other.begin(), other.begin() + full);
    longest = std::max<int64_t>(longest, end - prompt.begin());
  }
  return std::min(longest, static_cast<int64_t>(prompt.size()) - 1);
}

Tokens randomPrompt(std::mt19937 &random) {
  Tokens prompt(1 + random() % 40);
  for (int32_t &token : prompt)
    token = static_cast<int32_t>(random() % 8 == 0);
  return prompt;
}

} // namespace

TEST_F(PrefixTreeTest, FindsExactlyTheLongestPrefixWhenNothingIsLost) {
  make(4000);
  std::mt19937 random(7);
  std::vector<Tokens> served;
  for (int i = 0; i < 300; ++i) {
    Tokens prompt = randomPrompt(random);
    ASSERT_EQ(serve(prompt), longestCommonPrefix(served, prompt)) << i;
    served.push_back(std::move(prompt));
  }
}

// Small tiers, sequences that live for a while, pins, failures: every sequence reads its own data.
TEST_F(PrefixTreeTest, NeverGivesWrongDataInARandomRun) {
  makeWithStore(24, 10);
  std::mt19937 random(11);
  std::map<int32_t, Tokens> running;
  std::vector<PrefixKeyChain> pinned;
  int64_t matched = 0;
  for (int i = 0; i < 4000; ++i) {
    store->failsToRead = random() % 20 == 0;
    store->failsToWrite = random() % 20 == 0;
    uint32_t action = random() % 10;
    if (action < 5) {
      Tokens prompt = randomPrompt(random);
      PrefixMatch match = tree->match(prompt);
      int64_t length = match.length;
      matched += length;
      ASSERT_LT(length, static_cast<int64_t>(prompt.size()));
      ASSERT_TRUE(cache->attach(SequenceId{i}, match.blocks, length).isOk());
      if (append(i, Tokens(prompt.begin() + length, prompt.end())).isOk()) {
        running[i] = prompt;
        insert(i, prompt);
      } else {
        ASSERT_TRUE(cache->freeSequence(SequenceId{i}).isOk());
      }
    } else if (action < 8 && !running.empty()) {
      ASSERT_TRUE(cache->freeSequence(SequenceId{running.begin()->first}).isOk());
      running.erase(running.begin());
    } else if (action < 9 && pinned.size() < 3) {
      PrefixKeyChain keys = chain(randomPrompt(random));
      if (tree->pin(keys).isOk())
        pinned.push_back(keys);
    } else if (!pinned.empty()) {
      ASSERT_TRUE(tree->unpin(pinned.back()).isOk());
      pinned.pop_back();
    }
    ASSERT_NO_FATAL_FAILURE(check()) << "step " << i;
    for (const auto &[sequence, tokens] : running)
      ASSERT_NO_FATAL_FAILURE(expectReads(sequence, tokens)) << "step " << i;
  }
  EXPECT_GT(matched, 2000);
  EXPECT_GT(tree->statistics().pagesRead, 50);
  EXPECT_GT(tree->statistics().storeFailures, 50);
  for (const auto &[sequence, tokens] : running)
    ASSERT_TRUE(cache->freeSequence(SequenceId{sequence}).isOk());
}
