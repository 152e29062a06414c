// PoolSize: sums of the longest requests within the bounds.

#include "llmir/Engine/PoolSize.h"

#include "FakeLanguageModel.h"

#include <gtest/gtest.h>

using namespace llmir;

TEST(PoolSizeTest, HoldsTheLongestRequestsThatRunTogether) {
  llmir_cache_layout layout = *makeCacheLayout(llmir::testing::fakeCacheParameters());
  std::vector<GenerationRequest> requests(3);
  for (size_t i = 0; i < 3; ++i) {
    requests[i].prompt.resize(4 * (i + 1)); // 1, 2 and 3 blocks
    requests[i].maxNewTokens = 0;
  }
  constexpr int64_t plenty = 1 << 30;
  EXPECT_EQ(poolBlocksFor(requests, layout, {64, 8, plenty}), 6);
  EXPECT_EQ(poolBlocksFor(requests, layout, {64, 2, plenty}), 5);
  EXPECT_EQ(poolBlocksFor(requests, layout, {64, 8, 4 * layout.block_stride}), 4);
  // The longest request fits whatever the bound.
  EXPECT_EQ(poolBlocksFor(requests, layout, {64, 8, 0}), 3);
  requests[0].maxNewTokens.reset();
  EXPECT_EQ(poolBlocksFor(requests, layout, {64, 1, plenty}), 16);
  EXPECT_EQ(poolBlocksFor({}, layout, {64, 1, plenty}), 1);
}
