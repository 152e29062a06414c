// Every state that sequences with branches can reach in a cache of up to four blocks, and every
// operation in each of them on SpeculativeKVCache: drafts that are chains and trees, commits of
// every path and of nothing, rollbacks, ends of sequences with branches, a pool that is full.

#include "Exploration.h"
#include "SpeculationReplay.h"

#include <gtest/gtest.h>

#include <ostream>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  const char *name;
  CacheSizes sizes;
  int maxDraftTokens, maxBranches;
  size_t leastStates;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

class SpeculationExploration : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(SpeculationExploration, FollowsTheModelFromEveryState) {
  const Case &test = GetParam();
  SpeculationModel start(test.sizes, test.maxDraftTokens, test.maxBranches);
  Exploration<SpeculationModel> exploration{start};
  ASSERT_EQ(exploration.violation(), "");
  SpeculationReplay replay(start, smallStorage());
  for (size_t i = 0; i < exploration.states().size(); ++i) {
    const SpeculationModel &state = exploration.states()[i].model;
    std::vector<SpeculationOperation> path = exploration.pathTo(i);
    auto goTo = [&] {
      ASSERT_EQ(replay.clear(), "");
      for (const SpeculationOperation &operation : path)
        ASSERT_EQ(replay.step(operation), "");
    };
    ASSERT_NO_FATAL_FAILURE(goTo());
    std::string key = state.key();
    for (const SpeculationOperation &operation : state.operations()) {
      SCOPED_TRACE("state " + std::to_string(i) + " " + key + ", " + describe(operation));
      ASSERT_EQ(replay.step(operation), "");
      ASSERT_EQ(replay.compare(), "");
      if (replay.model().key() != key)
        ASSERT_NO_FATAL_FAILURE(goTo());
    }
  }
  RecordProperty("states", int(exploration.states().size()));
  RecordProperty("operations", int(exploration.numOperations()));
  EXPECT_GE(exploration.states().size(), test.leastStates);
}

INSTANTIATE_TEST_SUITE_P(Sizes, SpeculationExploration,
                         testing::Values(Case{"OneSequence", {4, 1, 2, 5, 0}, 3, 2, 140},
                                         Case{"BlocksOfOne", {4, 2, 1, 4, 0}, 2, 2, 180},
                                         Case{"FourBlocks", {4, 3, 2, 4, 0}, 2, 2, 980}),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
