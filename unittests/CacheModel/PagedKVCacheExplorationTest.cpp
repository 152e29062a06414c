// Every state that up to three sequences can reach in a cache of up to four blocks, and every
// operation in each of them on PagedKVCache: appends to one, two and three sequences, truncations,
// forks, attached prefixes, blocks that somebody else holds.

#include "CacheReplay.h"
#include "Exploration.h"

#include <gtest/gtest.h>

#include <ostream>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  const char *name;
  CacheSizes sizes;
  size_t leastStates;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

class PagedKVCacheExploration : public testing::TestWithParam<Case> {
protected:
  /// Brings both to a state; the free blocks may be in another order, which is the same state.
  void goTo(CacheReplay &replay, const std::vector<CacheOperation> &path) {
    ASSERT_EQ(replay.clear(), "");
    for (const CacheOperation &operation : path)
      ASSERT_EQ(replay.step(operation), "");
  }
};

} // namespace

TEST_P(PagedKVCacheExploration, FollowsTheModelFromEveryState) {
  Exploration<CacheModel> exploration{CacheModel(GetParam().sizes)};
  ASSERT_EQ(exploration.violation(), "");
  CacheReplay replay(GetParam().sizes, smallStorage());
  for (size_t i = 0; i < exploration.states().size(); ++i) {
    std::vector<CacheOperation> path = exploration.pathTo(i);
    ASSERT_NO_FATAL_FAILURE(goTo(replay, path));
    for (const CacheOperation &operation : replay.model().operations()) {
      ASSERT_EQ(replay.step(operation), "") << "in state " << replay.model().key();
      ASSERT_EQ(replay.compare(), "") << describe(operation) << " in state " << i;
      if (replay.model().key() == exploration.states()[i].model.key())
        continue; // Refused, or nothing to do.
      ASSERT_EQ(replay.drain(), "") << describe(operation) << " in state " << i;
      ASSERT_NO_FATAL_FAILURE(goTo(replay, path));
    }
  }
  RecordProperty("states", int(exploration.states().size()));
  RecordProperty("operations", int(exploration.numOperations()));
  EXPECT_GE(exploration.states().size(), GetParam().leastStates);
}

INSTANTIATE_TEST_SUITE_P(Sizes, PagedKVCacheExploration,
                         testing::Values(Case{"OneBlock", {1, 3, 2, 8, 1}, 10},
                                         Case{"TwoBlocks", {2, 3, 2, 8, 1}, 100},
                                         Case{"FourBlocks", {4, 3, 2, 8, 1}, 1900},
                                         Case{"ShortSequences", {3, 3, 2, 5, 1}, 300},
                                         Case{"BlocksOfThree", {3, 3, 3, 7, 1}, 300},
                                         Case{"BlocksOfOne", {4, 3, 1, 4, 1}, 200}),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
