// SpeculativeKVCache under long random runs: branches of branches' siblings, trees, commits of
// paths and of nothing, rollbacks, on a pool that is often full. A rejected draft leaves no trace.

#include "MachineCheck.h"
#include "SpeculationReplay.h"

#include <ostream>
#include <vector>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  const char *name;
  CacheSizes sizes;
  ElementType type;
  ScaleGranularity scales;
  CacheArrangement arrangement;
  int64_t operations;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

constexpr int maxDraftTokens = 9;

CacheStorage storageOf(const Case &test) {
  CacheStorage storage = smallStorage();
  CacheParameters &parameters = storage.parameters;
  parameters.keyType = parameters.valueType = test.type;
  parameters.keyScales = parameters.valueScales = test.scales;
  parameters.keyScaleGroup = parameters.valueScaleGroup =
      test.scales == ScaleGranularity::Group ? 4 : 0;
  parameters.arrangement = test.arrangement;
  if (isFloatArrayType(test.type))
    storage.elementType = test.type;
  return storage;
}

std::vector<Case> cases() {
  using enum CacheArrangement;
  return {
      {"F32",
       {12, 4, 4, 30, 0},
       ElementType::F32,
       ScaleGranularity::None,
       ChannelMajorKeys,
       60'000},
      {"I8", {9, 3, 2, 14, 0}, ElementType::I8, ScaleGranularity::Token, TokenMajorKeys, 20'000},
      {"I4Groups",
       {10, 3, 4, 30, 0},
       ElementType::I4,
       ScaleGranularity::Group,
       ChannelMajorKeys,
       20'000},
      {"BF16Pairs", {10, 3, 4, 30, 0}, ElementType::BF16, ScaleGranularity::None, Pairs, 20'000}};
}

class SpeculativeKVCacheMachine : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(SpeculativeKVCacheMachine, FollowsTheModel) {
  const Case &test = GetParam();
  SpeculationModel start(test.sizes, maxDraftTokens);
  checkMachine<SpeculationModel, SpeculationReplay>(
      start, [&] { return std::make_unique<SpeculationReplay>(start, storageOf(test)); },
      machineOperations(test, cases()));
}

INSTANTIATE_TEST_SUITE_P(Storage, SpeculativeKVCacheMachine, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
