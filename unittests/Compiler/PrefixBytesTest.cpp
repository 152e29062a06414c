// Same bytes through the prefix tree: a sequence that starts with what an earlier one computed gets
// the logits of a cold cache, byte for byte: from whole blocks, from a part of a block, after the
// earlier one ended, from pages that had gone to the disk and come back, and from a checkpoint of
// cache and tree, in a pool that is full to the last block.

#include "SameBytesFixture.h"

#include "llmir/Cache/CheckpointManager.h"
#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/PrefixTreeCheckpoint.h"

using namespace llmir;
using namespace llmir::testing;

namespace {

class PrefixBytesTest : public SameBytesTest {
protected:
  /// A cache that remembers prefixes, with the model's step over it.
  struct Remembering {
    Remembering(const LoadedModel &model, WorkerTeam &team, int64_t numBlocks,
                const PrefixCacheConfig &config)
        : prefix(model.manifest().caches.front(), config, numBlocks),
          served(model, team, prefix.cache()) {
      EXPECT_TRUE(prefix.status().isOk()) << prefix.status().message();
      prefix.cache().shuffleFreeBlocks(17);
    }
    ~Remembering() {
      Status status = prefix.checkInvariants();
      EXPECT_TRUE(status.isOk()) << status.message();
    }

    /// Starts a sequence with what is known of its prompt and computes the rest; `cached` receives
    /// how much was known. The rows are those from `cached` on.
    Logits start(int32_t sequence, const Tokens &prompt, int64_t &cached) {
      StatusOr<int64_t> found = prefix.startSequence(SequenceId{sequence}, prompt);
      EXPECT_TRUE(found.isOk()) << found.status().message();
      cached = *found;
      Logits rows = served.feed(sequence, slice(prompt, size_t(cached), prompt.size()));
      EXPECT_TRUE(prefix.commitSequence(SequenceId{sequence}).isOk());
      return rows;
    }
    void finish(int32_t sequence) { EXPECT_TRUE(prefix.freeSequence(SequenceId{sequence}).isOk()); }
    /// Strangers take every block that is free or that the tree can give back, write into it, and
    /// stay.
    void fillEverything() {
      PrefixTree &tree = prefix.getPrefixCache();
      int32_t id = strangers;
      while (served.cache.pool().numFree() + tree.countEvictable() > 0) {
        int64_t blocks =
            std::min<int64_t>(4, served.cache.pool().numFree() + tree.countEvictable());
        served.step({{id, makeTokens(9000 + uint32_t(id), size_t(blocks) * 16), LogitsRows::Last}});
        ++id;
      }
      EXPECT_EQ(served.cache.pool().numFree(), 0);
    }

    PrefixAwareKVCache prefix;
    ServedSequences served;
  };

  PrefixCacheConfig withDisk() {
    PrefixCacheConfig config;
    config.storePath = folder.path("blocks");
    config.storeBlocks = 16;
    return config;
  }
  std::unique_ptr<Remembering> remember(int64_t numBlocks, const PrefixCacheConfig &config = {}) {
    return std::make_unique<Remembering>(*model, *team, numBlocks, config);
  }

  mlir::llm::TestFolder folder;
};

} // namespace

TEST_P(PrefixBytesTest, HitsAfterTheFirstOneEnded) {
  Logits expected = cold(continued);
  // The same to the middle of the third block, then something else.
  Tokens similar = slice(continued, 0, 37), others = makeTokens(77, 20);
  similar.insert(similar.end(), others.begin(), others.end());
  Logits expectedSimilar = cold(similar);
  auto cache = remember(9);
  int64_t cached = -1;
  expectRows(cache->start(other, prompt, cached), cold(prompt), 0);
  EXPECT_EQ(cached, 0);
  cache->finish(other);
  for (int32_t round = 0; round < 2; ++round) {
    Logits rows = cache->start(asked, slice(continued, 0, 60), cached);
    EXPECT_EQ(cached, 48);
    expectRows(rows, expected, size_t(cached));
    // Two whole blocks and five tokens of a third, which is copied before it is written; then its
    // own third block.
    rows = cache->start(other, similar, cached);
    EXPECT_EQ(cached, round == 0 ? 37 : 48);
    expectRows(rows, expectedSimilar, size_t(cached));
    cache->fillEverything();
    expectRows(cache->served.feed(asked, slice(continued, 60, 64)), expected, 60);
    cache->served.freeFrom(strangers);
    expectRows(cache->served.feed(asked, slice(continued, 64, 70)), expected, 64);
    cache->finish(asked);
    cache->finish(other);
  }
}

TEST_P(PrefixBytesTest, PagesComeBackFromTheDisk) {
  Logits expected = cold(continued);
  auto cache = remember(8, withDisk());
  int64_t cached = -1;
  cache->start(other, prompt, cached);
  cache->finish(other);
  PrefixTree &tree = cache->prefix.getPrefixCache();
  for (int32_t round = 0; round < 2; ++round) {
    // Everything that was known is written to the disk, and its blocks are strangers'.
    cache->fillEverything();
    EXPECT_EQ(tree.statistics().memoryBlocks, 0);
    EXPECT_GE(tree.statistics().storedPages, 3);
    cache->served.freeFrom(strangers);
    int64_t read = tree.statistics().pagesRead;
    Logits rows = cache->start(asked, slice(continued, 0, 60), cached);
    EXPECT_EQ(cached, 48);
    EXPECT_GE(tree.statistics().pagesRead, read + 3);
    cache->fillEverything();
    expectRows(rows, expected, size_t(cached));
    expectRows(cache->served.feed(asked, slice(continued, 60, 64)), expected, 60);
    cache->served.freeFrom(strangers);
    expectRows(cache->served.feed(asked, slice(continued, 64, 70)), expected, 64);
    cache->finish(asked);
  }
  EXPECT_EQ(tree.statistics().storeFailures, 0);
}

TEST_P(PrefixBytesTest, RestoredTreeInAFullPool) {
  Logits expected = cold(continued);
  CheckpointManager manager(folder.path("checkpoints"), {.model = model->manifest().fingerprint});
  {
    auto cache = remember(9);
    int64_t cached = -1;
    cache->start(other, prompt, cached);
    cache->finish(other);
    cache->start(asked, prompt, cached);
    EXPECT_EQ(cached, 48);
    PrefixTreeCheckpoint tree(cache->prefix.getPrefixCache());
    Status status = manager.createCheckpoint(cache->served.cache, "with tree", &tree);
    ASSERT_TRUE(status.isOk()) << status.message();
  }
  // A live sequence, and a new one that hits the restored tree; strangers wrote everywhere.
  auto cache = remember(9);
  cache->fillEverything();
  cache->served.freeFrom(strangers);
  PrefixTreeCheckpoint tree(cache->prefix.getPrefixCache());
  Status status = manager.loadCheckpoint(cache->served.cache, "with tree", &tree);
  ASSERT_TRUE(status.isOk()) << status.message();
  int64_t cached = -1;
  Logits rows = cache->start(other, slice(continued, 0, 60), cached);
  EXPECT_EQ(cached, 48);
  cache->fillEverything();
  expectRows(rows, expected, size_t(cached));
  expectRows(cache->served.feed(asked, slice(continued, 53, 60)), expected, 53);
  expectRows(cache->served.feed(other, slice(continued, 60, 64)), expected, 60);
}

TEST_P(PrefixBytesTest, MappedCheckpointInAFullPool) {
  Logits expected = cold(continued);
  CheckpointManager manager(folder.path("checkpoints"), {.model = model->manifest().fingerprint});
  {
    ServedSequences served = serve(9, 3);
    served.feed(asked, prompt);
    ASSERT_TRUE(served.cache.fork(SequenceId{asked}, SequenceId{other}).isOk());
    served.feed(other, slice(continued, 53, 56));
    Status status = manager.createCheckpoint(served.cache, "mapped");
    ASSERT_TRUE(status.isOk()) << status.message();
  }
  ServedSequences served = serve(9, 8);
  served.fillPool(strangers);
  served.freeFrom(strangers);
  StatusOr<MappedCheckpoint> mapped = manager.mapCheckpoint(served.cache, "mapped");
  ASSERT_TRUE(mapped.isOk()) << mapped.status().message();
  // The second one first; both share three blocks.
  Status status = mapped->attach(SequenceId{other});
  ASSERT_TRUE(status.isOk()) << status.message();
  served.fillPool(strangers);
  expectRows(served.feed(other, slice(continued, 56, 60)), expected, 56);
  served.freeFrom(strangers);
  status = mapped->attach(SequenceId{asked}, SequenceId{7});
  ASSERT_TRUE(status.isOk()) << status.message();
  served.fillPool(strangers);
  expectRows(served.feed(7, slice(continued, 53, 60)), expected, 53);
  expectRows(served.feed(other, slice(continued, 60, 64)), expected, 60);
}

INSTANTIATE_TEST_SUITE_P(Storage, PrefixBytesTest, ::testing::ValuesIn(storages()),
                         [](const ::testing::TestParamInfo<KVStorage> &info) {
                           return std::string(info.param.name);
                         });
