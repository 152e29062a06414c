// Scenarios that broke other systems, with the numbers of their public reports: block pool, prefix
// cache, quantised storage and drafts.

#include "llmir/Cache/PrefixAwareKVCache.h"
#include "llmir/Cache/SpeculativeKVCache.h"
#include "llmir/Cache/WriteBehindStore.h"

#include "PrefixTreeFixture.h"

#include <cmath>
#include <condition_variable>
#include <limits>
#include <mutex>
#include <random>
#include <set>

using namespace llmir;

namespace {

constexpr int64_t headDim = 8;

/// Keys and values of an int8 cache, one scale a token: every channel is the token's number, which
/// int8 keeps to within rounding of its scale.
class Int8PrefixCache {
public:
  explicit Int8PrefixCache(int64_t numBlocks) : cache(parameters(), {}, numBlocks) {}

  static CacheParameters parameters() {
    CacheParameters parameters;
    parameters.keyType = parameters.valueType = ElementType::I8;
    parameters.keyScales = parameters.valueScales = ScaleGranularity::Token;
    parameters.numLayers = 2;
    parameters.numKVHeads = 1;
    parameters.keyHeadDim = parameters.valueHeadDim = headDim;
    parameters.blockSize = 4;
    parameters.maxSeqLen = 32;
    return parameters;
  }

  Status append(int32_t sequence, std::span<const int32_t> tokens) {
    std::vector<float> data;
    for (int layer = 0; layer < 2; ++layer)
      for (int32_t token : tokens)
        data.insert(data.end(), headDim, static_cast<float>(token));
    return cache.appendKV(data.data(), data.data(), 1, int64_t(tokens.size()), &sequence, nullptr);
  }

  Tokens read(int32_t sequence) {
    auto length = static_cast<int32_t>(*cache.cache().length(SequenceId{sequence}));
    std::vector<int32_t> blocks;
    for (int32_t t = 0; t < length; ++t)
      blocks.push_back(*cache.cache().slot(SequenceId{sequence}, t) / 4);
    std::vector<float> keys(size_t(2 * length) * headDim), values(keys.size());
    EXPECT_TRUE(cache.lookupKV(blocks.data(), &length, 1, keys.data(), values.data()).isOk());
    Tokens tokens;
    for (size_t i = 0; i < keys.size() / 2; i += headDim) {
      tokens.push_back(static_cast<int32_t>(std::lround(keys[i])));
      for (size_t channel = i; channel < i + headDim; ++channel) {
        EXPECT_EQ(std::lround(keys[channel]), tokens.back());
        EXPECT_EQ(std::lround(values[keys.size() / 2 + channel]), tokens.back());
      }
    }
    return tokens;
  }

  PrefixAwareKVCache cache;
};

} // namespace

// int8 KV, prefix cache on, pool completely full: no request ever reads another's block.
TEST(CacheScenarioTest, VLLM50702And37076And39146Int8PrefixCacheInAFullPool) {
  Int8PrefixCache int8(10);
  ASSERT_TRUE(int8.cache.status().isOk()) << int8.cache.status().message();
  std::mt19937 random(1);
  std::map<int32_t, Tokens> running;
  int full = 0, hits = 0;
  for (int32_t i = 0; i < 1500; ++i) {
    Tokens prompt;
    for (uint32_t t = 0, count = 5 + random() % 11; t < count; ++t)
      prompt.push_back(static_cast<int32_t>(t / 4 * 100 + 1 + random() % 20 / 17));
    int64_t cached = int8.cache.initializeSequence(i, prompt.data(), int64_t(prompt.size()));
    ASSERT_GE(cached, 0);
    hits += cached > 0 ? 1 : 0;
    while (!int8.append(i, std::span(prompt).subspan(size_t(cached))).isOk()) {
      ASSERT_FALSE(running.empty());
      ASSERT_TRUE(int8.cache.freeSequence(SequenceId{running.begin()->first}).isOk());
      running.erase(running.begin());
    }
    running[i] = prompt;
    full += int8.cache.cache().pool().numFree() == 0 ? 1 : 0;
    for (const auto &[sequence, tokens] : running)
      ASSERT_EQ(int8.read(sequence), tokens) << "request " << i;
    ASSERT_TRUE(int8.cache.checkInvariants().isOk());
  }
  EXPECT_GT(full, 500);
  EXPECT_GT(hits, 500);
}

// A preempted request gives back every block, and its data are the same when it is resumed.
TEST(CacheScenarioTest, VLLM18411PreemptionGivesEveryBlockBack) {
  Int8PrefixCache int8(8);
  Tokens prompt = range(1, 20);
  ASSERT_EQ(int8.cache.initializeSequence(1, prompt.data(), 20), 0);
  ASSERT_TRUE(int8.append(1, prompt).isOk());
  ASSERT_TRUE(int8.cache.freeSequence(SequenceId{1}).isOk());
  PrefixTree &tree = int8.cache.getPrefixCache();
  EXPECT_EQ(int8.cache.cache().pool().numFree() + tree.countEvictable(), 8);
  for (int64_t evicted : {0, 2, 8}) {
    tree.evict(evicted);
    int64_t cached = int8.cache.initializeSequence(1, prompt.data(), 20);
    ASSERT_TRUE(int8.append(1, std::span(prompt).subspan(size_t(cached))).isOk());
    EXPECT_EQ(int8.read(1), prompt);
    ASSERT_TRUE(int8.cache.freeSequence(SequenceId{1}).isOk());
  }
}

class PrefixScenarioTest : public PrefixTreeTest {};

// A page shared by two paths is counted once; at idle, free + cached = total.
TEST_F(PrefixScenarioTest, SGLang35270And27586And11970SharedPagesAreCountedOnce) {
  make(24);
  for (int32_t i = 0; i < 30; ++i) {
    serve(range(0, 8) + range(100 + i % 5, 9));
    EXPECT_EQ(cache->pool().numFree() + tree->statistics().memoryBlocks, 24);
    std::set<int32_t> different;
    tree->visit([&](const PrefixBlockView &view) { different.insert(view.block->index); });
    EXPECT_EQ(int64_t(different.size()), tree->statistics().memoryBlocks);
  }
}

// Eviction moves its counter and its queue together; it frees no pinned or live page.
TEST_F(PrefixScenarioTest, SGLang4987EvictionCountsWhatItFrees) {
  make(24);
  serve(range(0, 12));
  serve(range(100, 12));
  serve(range(200, 12));
  ASSERT_TRUE(tree->pin(chain(range(100, 8))).isOk());
  start(1, range(200, 8) + range(7, 1));
  for (int64_t evictable = 9 - 2 - 2; evictable > 0; --evictable) {
    EXPECT_EQ(tree->countEvictable(), evictable);
    int32_t before = cache->pool().numFree();
    EXPECT_EQ(tree->evict(1), 1);
    EXPECT_EQ(cache->pool().numFree(), before + 1);
    check();
  }
  EXPECT_EQ(tree->evict(1), 0);
  expectReads(1, range(200, 8) + range(7, 1));
  EXPECT_EQ(tree->match(range(100, 12)).length, 8);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  ASSERT_TRUE(tree->unpin(chain(range(100, 8))).isOk());
}

namespace {

/// A disk that writes nothing until it is let.
class SlowStore : public MemoryStore {
public:
  using MemoryStore::MemoryStore;
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return mayWrite; });
    return MemoryStore::write(page, key, bytes);
  }
  void let() {
    std::lock_guard lock(mutex);
    mayWrite = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool mayWrite = false;
};

} // namespace

// A page being copied to another tier is not overwritten before the copy is read.
TEST_F(PrefixScenarioTest, TensorRTLLM8813And8830PagesUnderWayKeepTheirContent) {
  PagedKVCache like(1, 1, 1, blockSize, 256, ElementType::F32, 1);
  auto slow = std::make_unique<SlowStore>(static_cast<size_t>(like.layout().block_stride), 16);
  SlowStore &disk = *slow;
  auto behind = std::make_unique<WriteBehindStore>(std::move(slow), 8);
  WriteBehindStore &queue = *behind;
  PrefixTreeOptions options;
  options.store = std::move(behind);
  make(8, std::move(options));
  serve(range(0, 16));
  EXPECT_EQ(tree->evict(4), 4);
  // The blocks are another's at once, while the disk has written nothing.
  ASSERT_TRUE(append(1, range(500, 32)).isOk());
  expectReads(1, range(500, 32));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 17)), 16);
  disk.let();
  ASSERT_TRUE(queue.flush().isOk());
  tree->evict(8);
  ASSERT_TRUE(append(1, range(600, 32)).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 17)), 16);
}

// No orphans: what others in memory continue stays.
TEST_F(PrefixScenarioTest, TensorRTLLM15018ParentsOutliveTheirChildren) {
  makeWithStore(16, 3);
  serve(range(0, 8) + range(50, 4));
  serve(range(0, 8) + range(60, 4));
  start(1, range(0, 8) + range(60, 4) + range(1, 1));
  for (int i = 0; i < 5; ++i) {
    tree->evict(1);
    check(); // finds orphans
  }
  EXPECT_EQ(tree->match(range(0, 8) + range(60, 5)).length, 12);
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
}

// Reuse never gives more tokens than the prompt has, and never all of them.
TEST_F(PrefixScenarioTest, TensorRTLLM2217TheLastTokenIsComputed) {
  make(32);
  serve(range(0, 32));
  for (size_t length = 1; length <= 40; ++length)
    EXPECT_EQ(tree->match(range(0, length)).length, std::min<int64_t>(int64_t(length) - 1, 32));
}

// Two tenants with different salts share nothing, not even the start of a block.
TEST_F(PrefixScenarioTest, SaltsShareNothing) {
  make(32);
  serve(range(0, 16), {"a", 0});
  EXPECT_EQ(serve(range(0, 16), {"b", 0}), 0);
  EXPECT_EQ(serve(range(0, 3) + range(90, 5), {"", 0}), 0);
  std::set<std::string> keys;
  tree->visit([&](const PrefixBlockView &view) { keys.insert(toString(view.key)); });
  EXPECT_EQ(keys.size(), 10u);
}

// Blocks go back tail first, so that the longest prefixes live longest.
TEST_F(PrefixScenarioTest, FreedBlocksGoBackTailFirst) {
  make(8);
  start(1, range(0, 16));
  std::vector<BlockId> blocks(cache->blocks(SequenceId{1})->begin(),
                              cache->blocks(SequenceId{1})->end());
  ASSERT_TRUE(append(2, range(100, 16)).isOk()); // no others are free
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  ASSERT_TRUE(append(3, range(200, 16)).isOk());
  std::vector<BlockId> next(cache->blocks(SequenceId{3})->begin(),
                            cache->blocks(SequenceId{3})->end());
  for (size_t i = 0; i < 4; ++i)
    EXPECT_EQ(next[i].index, blocks[3 - i].index);
  ASSERT_TRUE(cache->freeSequence(SequenceId{2}).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{3}).isOk());
  serve(range(0, 16));
  for (int64_t left = 12; left >= 0; left -= 4) {
    ASSERT_EQ(tree->evict(1), 1);
    EXPECT_EQ(tree->match(range(0, 17)).length, left);
  }
}

// A full pool is a clear error, and everything goes on.
TEST_F(PrefixScenarioTest, Shark1732And1923AFullPoolIsAnError) {
  make(4);
  serve(range(0, 16));
  start(1, range(0, 12) + range(90, 2));
  Status status = append(2, range(0, 4));
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), "block pool exhausted: need 1 block, 0 free of 4");
  EXPECT_FALSE(cache->contains(SequenceId{2}));
  expectReads(1, range(0, 12) + range(90, 2));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 14)), 12);
}

// A draft that is rejected at its first token leaves cache and length exactly as before.
TEST(CacheScenarioTest, ADraftRejectedAtItsFirstTokenLeavesNoTrace) {
  SpeculativeKVCache cache(1, 1, 1, 4, 64, ElementType::F32, {}, 16);
  std::vector<float> data = {1, 2, 3, 4, 5, 6};
  int32_t sequence = 1, branch = 0;
  ASSERT_TRUE(cache.cache().appendKV(data.data(), data.data(), 1, 6, &sequence, nullptr).isOk());
  std::vector<uint8_t> before(cache.cache().base(),
                              cache.cache().base() + 2 * cache.cache().layout().block_stride);
  std::vector<BlockId> blocks(cache.cache().blocks(SequenceId{1})->begin(),
                              cache.cache().blocks(SequenceId{1})->end());
  ASSERT_TRUE(cache.createBranch(1, branch).isOk());
  ASSERT_TRUE(cache.appendSpeculativeKV(data.data(), data.data(), 1, 5, branch).isOk());
  std::vector<float> logs(5, -std::numeric_limits<float>::infinity());
  VerificationResult result;
  ASSERT_TRUE(cache.verifySpeculation(1, branch, logs.data(), 5, result).isOk());
  ASSERT_TRUE(cache.commitSpeculation(1, branch, result.acceptedCount).isOk());
  EXPECT_EQ(*cache.cache().length(SequenceId{1}), 6);
  EXPECT_TRUE(std::ranges::equal(blocks, *cache.cache().blocks(SequenceId{1})));
  EXPECT_TRUE(std::equal(before.begin(), before.end(), cache.cache().base()));
  EXPECT_EQ(cache.cache().pool().numFree(), 14);
}
