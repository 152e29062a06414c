// A small cache with a prefix tree over it, for tests: sequences are made of tokens whose keys are
// the tokens themselves, so that a sequence that reads another's block is found out.

#ifndef LLMIR_UNITTESTS_CACHE_PREFIXTREEFIXTURE_H
#define LLMIR_UNITTESTS_CACHE_PREFIXTREEFIXTURE_H

#include "llmir/Cache/PrefixTree.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <utility>
#include <vector>

namespace llmir {

using Tokens = std::vector<int32_t>;

/// `count` tokens from `first` upwards.
inline Tokens range(int32_t first, size_t count) {
  Tokens tokens(count);
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

inline Tokens operator+(Tokens left, const Tokens &right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// Fails every call once `failing` is set; otherwise keeps pages in memory.
class MemoryStore : public BlockStore {
public:
  MemoryStore(size_t pageSize, int64_t numPages)
      : pageSize_(pageSize), pages(static_cast<size_t>(numPages)) {}

  int64_t numPages() const override { return static_cast<int64_t>(pages.size()); }
  size_t pageSize() const override { return pageSize_; }
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override {
    if (failsToWrite)
      return resourceExhausted("the store is full");
    pages[static_cast<size_t>(page)] = {key, {bytes.begin(), bytes.end()}};
    return Status::ok();
  }
  Status read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) override {
    const auto &[of, content] = pages[static_cast<size_t>(page)];
    if (failsToRead || of != key)
      return dataLoss("the page is gone");
    std::copy(content.begin(), content.end(), bytes.begin());
    return Status::ok();
  }

private:
  size_t pageSize_;

public:
  std::vector<std::pair<PrefixKey, std::vector<uint8_t>>> pages;
  bool failsToWrite = false;
  bool failsToRead = false;
};

/// Checks that stored and removed blocks alternate for each key and tier.
class EventCounter : public PrefixTreeListener {
public:
  void onStored(const PrefixBlockEvent &event) override {
    EXPECT_EQ(childKey(event.parent, event.tokens), event.key);
    EXPECT_EQ(++of(event), 1);
    ++stored;
  }
  void onRemoved(const PrefixBlockEvent &event) override {
    EXPECT_EQ(--of(event), 0);
    ++removed;
  }

  int64_t present(PrefixTier tier) const {
    int64_t count = 0;
    for (const auto &[place, times] : present_)
      count += place.second == tier ? times : 0;
    return count;
  }

  int64_t stored = 0, removed = 0;

private:
  int &of(const PrefixBlockEvent &event) { return present_[{event.key.words, event.tier}]; }
  std::map<std::pair<std::array<uint64_t, 4>, PrefixTier>, int> present_;
};

/// One layer, one head of one f32 channel, blocks of 4 tokens.
class PrefixTreeTest : public testing::Test {
protected:
  static constexpr int64_t blockSize = 4;

  void make(int64_t numBlocks, PrefixTreeOptions options = {}) {
    tree.reset();
    cache.emplace(1, 1, 1, blockSize, 256, ElementType::F32, numBlocks);
    options.listener = &events;
    options.clock = [this] { return now; };
    tree = std::make_unique<PrefixTree>(*cache, std::move(options));
    ASSERT_TRUE(tree->status().isOk()) << tree->status().message();
    cache->setReclaimer(tree.get());
  }

  void makeWithStore(int64_t numBlocks, int64_t numPages) {
    PagedKVCache like(1, 1, 1, blockSize, 256, ElementType::F32, 1);
    auto owned =
        std::make_unique<MemoryStore>(static_cast<size_t>(like.layout().block_stride), numPages);
    store = owned.get();
    PrefixTreeOptions options;
    options.store = std::move(owned);
    make(numBlocks, std::move(options));
  }

  void TearDown() override {
    if (!tree)
      return;
    check();
    tree.reset();
    if (cache->numSequences() == 0) {
      EXPECT_EQ(cache->pool().numFree(), cache->pool().numBlocks());
    }
  }

  /// Every count agrees, the pool's too.
  void check() {
    Status status = tree->checkInvariants();
    ASSERT_TRUE(status.isOk()) << status.message();
    std::vector<BlockId> held;
    tree->appendHeldBlocks(held);
    status = cache->checkInvariants(held);
    ASSERT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(events.present(PrefixTier::Memory), tree->statistics().memoryBlocks);
    EXPECT_EQ(events.present(PrefixTier::Disk), tree->statistics().storedPages);
  }

  Status append(int32_t sequence, const Tokens &tokens) {
    std::vector<float> data(tokens.begin(), tokens.end());
    return cache->appendKV(data.data(), data.data(), 1, static_cast<int64_t>(tokens.size()),
                           &sequence, nullptr);
  }

  /// Reads a sequence back and checks that its data are `tokens`.
  void expectReads(int32_t sequence, const Tokens &tokens) {
    auto length = static_cast<int32_t>(tokens.size());
    ASSERT_EQ(*cache->length(SequenceId{sequence}), length);
    std::vector<int32_t> blocks;
    for (int32_t t = 0; t < length; ++t)
      blocks.push_back(*cache->slot(SequenceId{sequence}, t) / int32_t(blockSize));
    std::vector<float> keys(tokens.size()), values(tokens.size());
    ASSERT_TRUE(cache->lookupKV(blocks.data(), &length, 1, keys.data(), values.data()).isOk());
    EXPECT_EQ(Tokens(keys.begin(), keys.end()), tokens);
    EXPECT_EQ(keys, values);
  }

  /// Starts a sequence on the longest prefix, computes the rest, and says what was matched.
  int64_t start(int32_t sequence, const Tokens &prompt, const PrefixNamespace &nameSpace = {}) {
    PrefixMatch match = tree->match(prompt, nameSpace);
    int64_t length = match.length;
    EXPECT_TRUE(cache->attach(SequenceId{sequence}, match.blocks, length).isOk());
    EXPECT_TRUE(append(sequence, Tokens(prompt.begin() + length, prompt.end())).isOk());
    return length;
  }

  /// Inserts a sequence's blocks and returns how many were new.
  int64_t insert(int32_t sequence, const Tokens &tokens, const PrefixNamespace &nameSpace = {},
                 std::vector<PrefixRetention> retention = {}) {
    StatusOr<int64_t> count =
        tree->insert(tokens, *cache->blocks(SequenceId{sequence}), nameSpace, retention);
    EXPECT_TRUE(count.isOk()) << count.status().message();
    return count ? *count : -1;
  }

  /// Runs a request from beginning to end, and says what was matched.
  int64_t serve(const Tokens &prompt, const PrefixNamespace &nameSpace = {},
                std::vector<PrefixRetention> retention = {}) {
    constexpr int32_t sequence = 1000;
    int64_t length = start(sequence, prompt, nameSpace);
    expectReads(sequence, prompt);
    insert(sequence, prompt, nameSpace, std::move(retention));
    EXPECT_TRUE(cache->freeSequence(SequenceId{sequence}).isOk());
    check();
    return length;
  }

  PrefixKeyChain chain(const Tokens &tokens) {
    PrefixKeyChain keys(PrefixNamespace{}, blockSize);
    keys.extend(tokens);
    return keys;
  }

  std::chrono::nanoseconds now{0};
  EventCounter events;
  MemoryStore *store = nullptr;
  std::optional<PagedKVCache> cache;
  std::unique_ptr<PrefixTree> tree;
};

} // namespace llmir

#endif // LLMIR_UNITTESTS_CACHE_PREFIXTREEFIXTURE_H
