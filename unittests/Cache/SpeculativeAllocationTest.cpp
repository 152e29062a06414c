// Speculation allocates nothing once it is warm: branches begin, are filled, verified, committed or
// rolled back, for chains and for trees. A program of its own with the other tests of allocations,
// because it replaces the allocator.

#include "../Support/AllocationExpectation.h"

#include "llmir/Cache/SpeculativeKVCache.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;
using llmir::testing::expectNoAllocations;

namespace {

constexpr int64_t vocabulary = 32;

class SpeculativeAllocationTest : public ::testing::Test {
protected:
  static SpeculativeConfig withTrees() {
    SpeculativeConfig config;
    config.enableTreeAttention = true;
    return config;
  }

  /// Starts a sequence of 6 tokens and ends it after `steps`.
  template <typename Steps> bool withSequence(int32_t id, Steps steps) {
    bool good = cache_.cache().appendKV(keys_.data(), values_.data(), 1, 6, &id, nullptr).isOk();
    good = good && steps(id);
    return cache_.freeSequence(id).isOk() && good;
  }

  SpeculativeKVCache cache_{2, 1, 8, 4, 64, ElementType::F16, withTrees(), 64};
  std::vector<uint16_t> keys_ = std::vector<uint16_t>(2 * 8 * 8, 0x3c00), values_ = keys_;
  VerificationResult result_;
};

} // namespace

TEST_F(SpeculativeAllocationTest, NothingInChains) {
  std::vector<float> logProbabilities(4, -0.2f);
  auto steps = [&](int32_t id) {
    bool good = true;
    for (int step = 0; step < 5; ++step) {
      int32_t branch = 0, rejected = 0;
      good = good && cache_.createBranch(id, branch).isOk();
      good = good && cache_.createBranch(id, rejected).isOk();
      good = good && cache_.appendSpeculativeKV(keys_.data(), values_.data(), id, 4, branch).isOk();
      good =
          good && cache_.verifySpeculation(id, branch, logProbabilities.data(), 4, result_).isOk();
      good = good && cache_.rollbackSpeculation(id, rejected).isOk();
      good = good && cache_.commitSpeculation(id, branch, result_.acceptedCount).isOk();
    }
    return good;
  };
  expectNoAllocations([&](int round) { return withSequence(100000000 + round, steps); }, 30, 200);
}

TEST_F(SpeculativeAllocationTest, NothingInTreesWithDistributions) {
  // Two continuations of the context, of which each has one of its own.
  const int32_t parents[] = {-1, -1, 0, 1}, tokens[] = {3, 5, 7, 9};
  std::vector<float> draft(4 * vocabulary, 1.0f / vocabulary),
      target(5 * vocabulary, 1.0f / vocabulary);
  DraftDistributions distributions{tokens, vocabulary, draft, target};
  CacheStepTables tables;
  auto steps = [&](int32_t id) {
    bool good = true;
    for (int step = 0; step < 5; ++step) {
      int32_t branch = 0;
      good = good && cache_.createBranch(id, branch).isOk();
      good = good && cache_.reserveSpeculativeKV(id, parents, branch, tables).isOk();
      good = good && cache_.verifySpeculation(id, branch, distributions, result_).isOk();
      good = good && result_.nextToken.has_value();
      good = good && cache_.commitSpeculation(id, branch, result_.acceptedPath).isOk();
    }
    return good;
  };
  expectNoAllocations([&](int round) { return withSequence(100000000 + round, steps); }, 30, 200);
  EXPECT_TRUE(cache_.checkInvariants().isOk()) << cache_.checkInvariants().message();
}
