// Every state that up to three sequences can reach with a prefix tree over up to four blocks and up
// to two pages of a disk, and every operation in each of them on the real classes: starts with a
// prefix hit, in whole and in part of a block, appends, insertions, forks, evictions, pins,
// tenants.

#include "Exploration.h"
#include "PrefixReplay.h"

#include <gtest/gtest.h>

#include <ostream>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  const char *name;
  PrefixSizes sizes;
  size_t leastStates;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

class PrefixTreeExploration : public testing::TestWithParam<Case> {};

// The second starts like the first and differs within its first block; the third is a tenant's.
const Path first{0, {0, 0, 0}}, second{0, {0, 1}}, tenants{1, {0, 0, 0}};

} // namespace

TEST_P(PrefixTreeExploration, FollowsTheModelFromEveryState) {
  Exploration<PrefixModel> exploration{PrefixModel(GetParam().sizes)};
  ASSERT_EQ(exploration.violation(), "");
  PrefixReplay replay(GetParam().sizes, smallStorage());
  for (size_t i = 0; i < exploration.states().size(); ++i) {
    const PrefixModel &state = exploration.states()[i].model;
    std::vector<PrefixOperation> path = exploration.pathTo(i);
    auto goTo = [&] {
      ASSERT_EQ(replay.clear(), "");
      for (const PrefixOperation &operation : path)
        ASSERT_EQ(replay.step(operation), "");
    };
    ASSERT_NO_FATAL_FAILURE(goTo());
    std::string key = state.key();
    for (const PrefixOperation &operation : state.operations()) {
      SCOPED_TRACE("state " + std::to_string(i) + " " + key + ", " + describe(operation));
      ASSERT_EQ(replay.step(operation), "");
      ASSERT_EQ(replay.compare(), "");
      if (replay.model().key() != key)
        ASSERT_NO_FATAL_FAILURE(goTo());
    }
  }
  RecordProperty("states", int(exploration.states().size()));
  RecordProperty("operations", int(exploration.numOperations()));
  EXPECT_GE(exploration.states().size(), GetParam().leastStates);
}

INSTANTIATE_TEST_SUITE_P(
    Sizes, PrefixTreeExploration,
    testing::Values(
        Case{"FourBlocksThreeSequencesADiskAndAPin", {4, 3, 2, 3, 2, 1, {first, second}}, 3800},
        Case{"TwoBlocks", {2, 2, 2, 4, 0, 1, {first, second}}, 100},
        Case{"ThreeBlocksAndATenant", {3, 2, 2, 4, 0, 0, {first, tenants}}, 200},
        Case{"ThreeBlocksAndADisk", {3, 1, 2, 4, 2, 1, {first, second}}, 6500},
        Case{"FourBlocksThreeSequences", {4, 3, 2, 3, 0, 0, {first, second}}, 400}),
    [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
