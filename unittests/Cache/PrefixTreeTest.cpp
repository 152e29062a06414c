// PrefixTree: matching, inserting, pinning, eviction in memory, events, and every refusal.

#include "PrefixTreeFixture.h"

using namespace llmir;

TEST_F(PrefixTreeTest, FindsTheLongestPrefixInFullBlocks) {
  make(32);
  EXPECT_EQ(serve(range(0, 16)), 0);
  EXPECT_EQ(tree->statistics().memoryBlocks, 4);
  EXPECT_EQ(serve(range(0, 8) + range(100, 5)), 8);
  EXPECT_EQ(serve(range(0, 16) + range(50, 3)), 16);
  EXPECT_EQ(serve(range(7, 16)), 0);
  EXPECT_EQ(tree->match({}).length, 0);
  EXPECT_EQ(tree->match(Tokens{0}).length, 0);
}

// TensorRT-LLM #2217: never more than the prompt has, and never the whole prompt.
TEST_F(PrefixTreeTest, LeavesTheLastTokenToBeComputed) {
  make(32);
  serve(range(0, 16));
  for (size_t length = 1; length <= 20; ++length) {
    PrefixMatch match = tree->match(range(0, length));
    EXPECT_EQ(match.length, std::min<int64_t>(static_cast<int64_t>(length) - 1, 16));
    EXPECT_EQ(static_cast<int64_t>(match.blocks.size()),
              blocksForTokens(cache->layout(), match.length));
  }
}

TEST_F(PrefixTreeTest, StartsInTheMiddleOfTheBlockThatSharesMost) {
  make(32);
  serve(Tokens{1, 2, 3, 4, 5, 6, 7, 8});
  serve(Tokens{1, 2, 3, 4, 5, 6, 9, 9});
  serve(Tokens{1, 2, 3, 4, 7, 7, 7, 7});
  EXPECT_EQ(serve(Tokens{1, 2, 3, 4, 5, 6, 9, 1, 1}), 7);
  EXPECT_EQ(serve(Tokens{1, 2, 3, 4, 7, 7, 1}), 6);
  EXPECT_EQ(serve(Tokens{1, 2, 9, 9}), 2);
  // The blocks that were entered in the middle were not written to.
  EXPECT_EQ(serve(Tokens{1, 2, 3, 4, 5, 6, 7, 8, 0}), 8);
}

TEST_F(PrefixTreeTest, FindsTheBestOfManySiblings) {
  make(600);
  for (int32_t i = 0; i < 500; ++i)
    serve(Tokens{i / 100, i / 10 % 10, i % 10, 0});
  EXPECT_EQ(tree->match(Tokens{3, 4, 5, 1, 1}).length, 3);
  EXPECT_EQ(tree->match(Tokens{3, 4, 11, 1, 1}).length, 2);
  EXPECT_EQ(tree->match(Tokens{3, 11, 5, 1, 1}).length, 1);
  EXPECT_EQ(tree->match(Tokens{7, 4, 5, 1, 1}).length, 0);
  EXPECT_EQ(tree->evict(600), 500);
  check();
}

// Two tenants with different salts share nothing; nor do two adapters.
TEST_F(PrefixTreeTest, KeepsNamespacesApart) {
  make(32);
  serve(range(0, 10), {"tenant a", 0});
  EXPECT_EQ(serve(range(0, 10), {"tenant b", 0}), 0);
  EXPECT_EQ(serve(range(0, 10), {"tenant a", 7}), 0);
  EXPECT_EQ(serve(range(0, 10)), 0);
  EXPECT_EQ(serve(range(0, 10), {"tenant a", 0}), 8);
  EXPECT_EQ(tree->match(range(0, 3), {"tenant c", 0}).length, 0);
  EXPECT_EQ(tree->statistics().memoryBlocks, 8);
}

TEST_F(PrefixTreeTest, MatchesWithKnownKeys) {
  make(32);
  serve(range(0, 16));
  Tokens prompt = range(0, 14);
  EXPECT_EQ(tree->match(chain(prompt), prompt).length, 13);
  EXPECT_EQ(tree->match(PrefixKeyChain(PrefixNamespace{}, 8), prompt).length, 0);
}

TEST_F(PrefixTreeTest, CountsABlockOfTwoPathsOnce) {
  make(32);
  ASSERT_EQ(start(1, range(0, 12)), 0);
  ASSERT_EQ(start(2, range(0, 12)), 0); // not inserted yet: computed twice
  EXPECT_EQ(insert(1, range(0, 12)), 3);
  EXPECT_EQ(insert(2, range(0, 12)), 0);
  EXPECT_EQ(cache->pool().numFree(), 26);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{2}).isOk());
  // At idle, free and cached blocks are all there are.
  EXPECT_EQ(cache->pool().numFree() + tree->statistics().memoryBlocks, 32);
  EXPECT_EQ(tree->countEvictable(), 3);
}

TEST_F(PrefixTreeTest, EvictsTheLeastRecentlyUsedTailFirst) {
  make(32);
  serve(range(0, 8));
  serve(range(100, 8));
  serve(range(0, 8) + range(200, 4));
  ASSERT_EQ(tree->evict(1), 1);
  EXPECT_EQ(tree->match(range(100, 9)).length, 4);
  ASSERT_EQ(tree->evict(2), 2);
  // The tail of the other path; the block that was just matched stays.
  EXPECT_EQ(tree->match(range(0, 8) + range(200, 5)).length, 4);
  EXPECT_EQ(tree->match(range(100, 9)).length, 4);
  EXPECT_EQ(tree->evict(100), 2);
  EXPECT_EQ(tree->evict(1), 0);
}

// SGLang #4987, TensorRT-LLM #15018: pages in use or with others behind them stay.
TEST_F(PrefixTreeTest, EvictsNothingThatIsUsed) {
  make(16);
  serve(range(0, 16));
  start(1, range(0, 8) + range(90, 1));
  EXPECT_EQ(tree->countEvictable(), 2);
  EXPECT_EQ(tree->evict(16), 2);
  expectReads(1, range(0, 8) + range(90, 1));
  check();
  EXPECT_EQ(tree->evict(16), 0);
  EXPECT_EQ(tree->statistics().evictionCandidates, 1);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(tree->evict(16), 2);
}

TEST_F(PrefixTreeTest, GivesBlocksBackWhenThePoolIsFull) {
  make(8);
  for (int32_t i = 0; i < 40; ++i)
    serve(range(1000 * i, 21));
  EXPECT_EQ(tree->statistics().blocksEvicted, 40 * 5 - tree->statistics().memoryBlocks);
  Status status = append(5, range(0, 33));
  EXPECT_EQ(status.message(), "block pool exhausted: need 9 blocks, 8 free of 8");
  ASSERT_TRUE(append(5, range(0, 32)).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{5}).isOk());
}

// A request that would fit without the cache fits with it.
TEST_F(PrefixTreeTest, GivesABlockUpWhenThereIsNoRoomForItsCopy) {
  make(4);
  serve(range(0, 12));
  EXPECT_EQ(serve(range(0, 10) + range(90, 6)), 10); // the four blocks that there are
  // Its third block was given up for that, so two of its tokens are another prefix's.
  EXPECT_EQ(serve(range(0, 12)), 10);
  Tokens prompt = range(0, 10) + range(80, 6);
  ASSERT_TRUE(tree->pin(chain(range(0, 12))).isOk());
  PrefixMatch match = tree->match(prompt);
  ASSERT_EQ(match.length, 10);
  ASSERT_TRUE(cache->attach(SequenceId{1}, match.blocks, match.length).isOk());
  EXPECT_EQ(append(1, range(80, 6)).code(), StatusCode::ResourceExhausted);
  ASSERT_TRUE(append(1, range(80, 2)).isOk());
  expectReads(1, range(0, 10) + range(80, 2));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
}

TEST_F(PrefixTreeTest, KeepsPinnedPrefixes) {
  make(16);
  PrefixKeyChain keys = chain(range(0, 10));
  ASSERT_TRUE(tree->pin(keys).isOk()); // before it is there
  serve(range(0, 16));
  ASSERT_TRUE(tree->pin(keys).isOk());
  EXPECT_EQ(tree->statistics().pinnedBlocks, 2);
  EXPECT_EQ(tree->evict(16), 2);
  tree->clear();
  EXPECT_EQ(tree->match(range(0, 16)).length, 8);
  ASSERT_TRUE(tree->unpin(keys).isOk());
  EXPECT_EQ(tree->evict(16), 0);
  ASSERT_TRUE(tree->unpin(keys).isOk());
  EXPECT_EQ(tree->unpin(keys).message(), "cannot unpin block 0 of 2: it is not pinned");
  EXPECT_EQ(tree->evict(16), 2);
}

TEST_F(PrefixTreeTest, EvictsByPriorityUntilItExpires) {
  make(32);
  using std::chrono::seconds;
  serve(range(0, 8), {}, {{0, 4, 90, seconds(10)}, {4, std::nullopt, 80, std::nullopt}});
  serve(range(100, 8), {}, {{0, std::nullopt, 10, std::nullopt}});
  serve(range(200, 8));
  EXPECT_EQ(tree->evict(2), 2); // the lowest priority, although used later
  EXPECT_EQ(tree->match(range(100, 9)).length, 0);
  EXPECT_EQ(tree->evict(2), 2);
  EXPECT_EQ(tree->match(range(200, 9)).length, 0);
  EXPECT_EQ(tree->evict(1), 1);
  serve(range(200, 4));
  now = seconds(11);
  EXPECT_EQ(tree->evict(1), 1); // priority 90 is over
  EXPECT_EQ(tree->match(range(200, 9)).length, 4);
}

TEST_F(PrefixTreeTest, HoldsNoMoreThanItMay) {
  PrefixTreeOptions options;
  options.maxBlocks = 5;
  make(32, std::move(options));
  serve(range(0, 12));
  serve(range(100, 12));
  EXPECT_EQ(tree->statistics().memoryBlocks, 5);
  EXPECT_EQ(tree->match(range(100, 20)).length, 12);
  start(1, range(200, 40));
  EXPECT_EQ(insert(1, range(200, 40)), 5); // what is in use cannot make room
  EXPECT_EQ(tree->match(range(200, 40)).length, 20);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
}

TEST_F(PrefixTreeTest, HoldsNoMorePrefixesThanItMay) {
  PrefixTreeOptions options;
  options.maxPrefixes = 2;
  make(32, std::move(options));
  serve(range(0, 4) + range(10, 8));
  serve(range(0, 4) + range(20, 8));
  serve(range(0, 4) + range(30, 8));
  EXPECT_EQ(tree->statistics().prefixes, 2);
  EXPECT_EQ(tree->statistics().memoryBlocks, 5);
  EXPECT_EQ(tree->match(range(0, 4) + range(10, 8)).length, 4);
}

TEST_F(PrefixTreeTest, MatchesWholePrefixesOnly) {
  PrefixTreeOptions options;
  options.matching = PrefixMatching::WholePrefixes;
  make(32, std::move(options));
  serve(range(0, 8));
  EXPECT_EQ(tree->match(range(0, 7)).length, 0);
  EXPECT_EQ(tree->match(range(0, 4) + range(50, 8)).length, 0);
  EXPECT_EQ(tree->match(range(0, 8) + range(50, 8)).length, 8);
  EXPECT_EQ(tree->match(range(0, 8)).length, 7);
}

TEST_F(PrefixTreeTest, RefusesAndChangesNothing) {
  make(8);
  start(1, range(0, 8));
  std::vector<BlockId> blocks(cache->blocks(SequenceId{1})->begin(),
                              cache->blocks(SequenceId{1})->end());
  ++blocks[1].generation;
  EXPECT_EQ(tree->insert(range(0, 8), blocks).status().code(), StatusCode::FailedPrecondition);
  EXPECT_EQ(
      tree->insert(PrefixKeyChain(PrefixNamespace{}, 8), range(0, 8), blocks).status().message(),
      "expected keys of blocks of 4 tokens, but got 8");
  EXPECT_EQ(tree->statistics().memoryBlocks, 0);
  EXPECT_EQ(*tree->insert(range(0, 3), *cache->blocks(SequenceId{1})), 0);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());

  PrefixTreeOptions options;
  options.maxBlocks = 0;
  PrefixTree bad(*cache, std::move(options));
  EXPECT_EQ(bad.status().message(),
            "prefix tree: expected at least 1 as the most blocks or prefixes, but got 0");
  EXPECT_EQ(bad.insert(range(0, 8), {}).status().message(), bad.status().message());
  EXPECT_EQ(bad.match(range(0, 8)).length, 0);
  options = {};
  options.store = std::make_unique<MemoryStore>(1, 1);
  EXPECT_NE(PrefixTree(*cache, std::move(options)).status().message().find("but got 1"),
            std::string::npos);
}

TEST_F(PrefixTreeTest, ShowsItsBlocks) {
  make(32);
  serve(range(0, 8));
  serve(range(0, 4) + range(50, 4));
  std::vector<PrefixBlockView> seen;
  tree->visit([&](const PrefixBlockView &block) { seen.push_back(block); });
  ASSERT_EQ(seen.size(), 3u);
  EXPECT_EQ(seen[0].depth, 0);
  EXPECT_EQ(seen[0].parent, rootKey({}, blockSize));
  EXPECT_EQ(seen[1].parent, seen[0].key);
  EXPECT_EQ(Tokens(seen[2].tokens.begin(), seen[2].tokens.end()), range(50, 4));
  EXPECT_TRUE(seen[2].block.has_value());
  EXPECT_FALSE(seen[2].page.has_value());
  EXPECT_EQ(toString(seen[0].key).size(), 64u);
}
