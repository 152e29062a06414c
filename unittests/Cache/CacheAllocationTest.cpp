// PagedKVCache allocates nothing once it is warm: sequences come, grow, fork, are read and end, and
// the number of allocations stands still. A program of its own, because it replaces the allocator.

#include "../Support/AllocationCounter.h"

#include "llmir/Cache/PagedKVCache.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;

namespace {

/// One round of a server's life: everything that a step and the end of a request do.
class Round {
public:
  explicit Round(const CacheParameters &parameters)
      : cache_(parameters, ElementType::F32, 64), keys_(2 * 2 * 6 * 16, 1.0f), values_(keys_),
        blocks_(12), requests_(2) {
    EXPECT_TRUE(cache_.status().isOk()) << cache_.status().message();
  }

  bool run(int32_t firstId) {
    int32_t ids[2] = {firstId, firstId + 1}, lengths[2] = {6, 6};
    SequenceId first{ids[0]}, second{ids[1]}, child{firstId + 2};
    bool good = cache_.appendKV(keys_.data(), values_.data(), 2, 6, ids, blocks_.data()).isOk();
    good = good && cache_.lookupKV(blocks_.data(), lengths, 2, keys_.data(), values_.data()).isOk();
    good = good && cache_.fork(first, child).isOk();
    requests_ = {{second, 7}, {child, 3}};
    good = good && cache_.reserve(requests_, tables_).isOk();
    good = good && cache_.truncate(second, 4).isOk();
    for (SequenceId id : {first, second, child})
      good = good && cache_.freeSequence(id).isOk();
    return good;
  }

private:
  PagedKVCache cache_;
  CacheStepTables tables_;
  std::vector<float> keys_, values_;
  std::vector<int32_t> blocks_;
  std::vector<AppendRequest> requests_;
};

} // namespace

TEST(CacheAllocationTest, NothingAfterWarmUp) {
  for (ElementType type : {ElementType::F16, ElementType::I8, ElementType::I4}) {
    bool scaled = type != ElementType::F16;
    CacheParameters parameters;
    parameters.keyType = parameters.valueType = type;
    parameters.numLayers = 2;
    parameters.numKVHeads = 1;
    parameters.keyHeadDim = parameters.valueHeadDim = 16;
    parameters.blockSize = 4;
    parameters.maxSeqLen = 32;
    parameters.keyScales = parameters.valueScales =
        scaled ? ScaleGranularity::Token : ScaleGranularity::None;
    Round round(parameters);
    for (int32_t i = 0; i < 20; ++i)
      ASSERT_TRUE(round.run(3 * i));
    int64_t before = llmir::testing::countAllocations();
    bool good = true;
    for (int32_t i = 20; i < 200; ++i)
      good = round.run(3 * i) && good;
    int64_t after = llmir::testing::countAllocations();
    EXPECT_TRUE(good);
    EXPECT_EQ(after - before, 0) << elementTypeName(type);
  }
}
