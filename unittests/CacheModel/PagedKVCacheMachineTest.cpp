// PagedKVCache under long random runs: appends to several sequences at once, truncations, forks,
// attached prefixes and held blocks on a pool that is often full, for every storage type.

#include "CacheReplay.h"
#include "MachineCheck.h"

#include <ostream>
#include <vector>

using namespace llmir;
using namespace llmir::model;

namespace {

struct Case {
  std::string name;
  CacheSizes sizes;
  CacheStorage storage;
  int64_t operations = 20'000;

  friend void PrintTo(const Case &value, std::ostream *stream) { *stream << value.name; }
};

CacheStorage floatStorage(ElementType type) {
  CacheStorage storage = smallStorage();
  storage.parameters.keyType = storage.parameters.valueType = storage.elementType = type;
  storage.parameters.numLayers = 2;
  storage.parameters.numKVHeads = 3;
  storage.parameters.keyHeadDim = 34;
  storage.parameters.valueHeadDim = 18;
  return storage;
}

std::vector<Case> cases() {
  CacheSizes usual{12, 6, 4, 30, 3};
  return {{"Small", usual, smallStorage(), 100'000},
          {"OneTokenBlocks", {9, 5, 1, 7, 2}, smallStorage()},
          {"F32", usual, floatStorage(ElementType::F32)},
          {"F16", usual, floatStorage(ElementType::F16)},
          {"BF16", {20, 7, 3, 20, 3}, floatStorage(ElementType::BF16)}};
}

class PagedKVCacheMachine : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(PagedKVCacheMachine, FollowsTheModel) {
  const Case &test = GetParam();
  checkMachine<CacheModel, CacheReplay>(
      CacheModel(test.sizes),
      [&] { return std::make_unique<CacheReplay>(test.sizes, test.storage); },
      machineOperations(test.operations));
}

INSTANTIATE_TEST_SUITE_P(Storage, PagedKVCacheMachine, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
