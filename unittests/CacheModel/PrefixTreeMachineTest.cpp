// PrefixTree over PagedKVCache under long random runs, with and without a disk.

#include "MachineCheck.h"
#include "PrefixReplay.h"

#include <ostream>
#include <vector>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  const char *name;
  PrefixSizes sizes;
  int64_t operations;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

std::vector<Case> cases() {
  return {{"MemoryOnly", {10, 4, 3, 14, 0, 6, {}}, 60'000},
          {"SmallDisk", {8, 4, 2, 12, 5, 6, {}}, 40'000},
          {"LargeDisk", {7, 3, 4, 20, 40, 6, {}}, 20'000},
          {"OneTokenBlocks", {9, 3, 1, 6, 4, 6, {}}, 20'000}};
}

class PrefixTreeMachine : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(PrefixTreeMachine, FollowsTheModel) {
  const PrefixSizes &sizes = GetParam().sizes;
  checkMachine<PrefixModel, PrefixReplay>(
      PrefixModel(sizes), [&] { return std::make_unique<PrefixReplay>(sizes, smallStorage()); },
      machineOperations(GetParam(), cases()));
}

INSTANTIATE_TEST_SUITE_P(Tiers, PrefixTreeMachine, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
