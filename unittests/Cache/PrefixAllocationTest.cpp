// The prefix tree and the cache over it allocate nothing once they are warm: prompts are matched,
// inserted, decoded token by token and evicted. A program of its own with the other tests of
// allocations, because it replaces the allocator.

#include "../Support/AllocationExpectation.h"

#include "llmir/Cache/PrefixAwareKVCache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

using namespace llmir;
using llmir::testing::expectNoAllocations;

namespace {

constexpr int64_t blockSize = 4, promptLength = 30, poolBlocks = 40;

/// The same 16 tokens at the start of all prompts, and a rest that is `number`'s own.
void fillPrompt(int number, std::vector<int32_t> &prompt) {
  prompt.resize(promptLength);
  std::iota(prompt.begin(), prompt.end(), 0);
  std::for_each(prompt.begin() + 16, prompt.end(), [&](int32_t &token) { token += 1000 * number; });
}

} // namespace

TEST(PrefixAllocationTest, NothingInMatchInsertAndEvict) {
  PagedKVCache cache(1, 1, 8, blockSize, 64, ElementType::F16, poolBlocks);
  PrefixTree tree(cache);
  ASSERT_TRUE(tree.status().isOk()) << tree.status().message();
  cache.setReclaimer(&tree);
  CacheStepTables tables;
  std::vector<AppendRequest> request(1);
  std::vector<int32_t> prompt;
  PrefixKeyChain keys(PrefixNamespace{}, blockSize);
  int64_t matched = 0, inserted = 0;
  auto round = [&](int number) {
    fillPrompt(number, prompt);
    SequenceId sequence{100000000 + number};
    PrefixMatch match = tree.match(prompt);
    matched += match.length;
    bool good = cache.attach(sequence, match.blocks, match.length).isOk();
    request[0] = {sequence, promptLength - match.length};
    good = good && cache.reserve(request, tables).isOk();
    if (!good)
      return false;
    // Half of them with keys that are known, half without.
    keys.restart(rootKey({}, blockSize), blockSize);
    keys.extend(prompt);
    StatusOr<int64_t> count = number % 2 == 0 ? tree.insert(keys, prompt, *cache.blocks(sequence))
                                              : tree.insert(prompt, *cache.blocks(sequence));
    inserted += count ? *count : 0;
    good = count.isOk() && tree.match(keys, prompt).length == promptLength / blockSize * blockSize;
    good = cache.freeSequence(sequence).isOk() && good;
    return (number % 3 != 0 || tree.evict(2) == 2) && good;
  };
  expectNoAllocations(round, 60, 200);
  EXPECT_GT(matched, 200 * 16);
  EXPECT_GT(inserted, 200 * 3);
  EXPECT_GT(tree.statistics().blocksEvicted, 400) << "the pool was never full";
  EXPECT_TRUE(tree.checkInvariants().isOk()) << tree.checkInvariants().message();
}

TEST(PrefixAllocationTest, NothingInSequencesThatReusePrefixes) {
  PrefixCacheConfig config;
  config.maxCachedPrefixes = 5;
  PrefixAwareKVCache cache(2, 1, 8, blockSize, 64, ElementType::F16, config, poolBlocks);
  ASSERT_TRUE(cache.status().isOk()) << cache.status().message();
  std::vector<uint16_t> keys(2 * promptLength * 8, 0x3c00), values(keys);
  std::vector<int32_t> prompt;
  auto round = [&](int number) {
    fillPrompt(number, prompt);
    int32_t id = 100000000 + number;
    int64_t length = cache.initializeSequence(id, prompt.data(), promptLength);
    bool good = length >= (number == 0 ? 0 : 16);
    good =
        good &&
        cache.appendKV(keys.data(), values.data(), 1, promptLength - length, &id, nullptr).isOk();
    for (int32_t token = 0; token < 12; ++token) {
      good = good && cache.extendSequence(SequenceId{id}, {&token, 1}).isOk();
      good = good && cache.appendKV(keys.data(), values.data(), 1, 1, &id, nullptr).isOk();
    }
    good = good && cache.truncate(SequenceId{id}, promptLength + 7).isOk();
    return cache.freeSequence(SequenceId{id}).isOk() && good;
  };
  expectNoAllocations(round, 60, 200);
  EXPECT_TRUE(cache.checkInvariants().isOk()) << cache.checkInvariants().message();
}
