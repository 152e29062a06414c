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

/// Two layers of two heads, which store keys and values alike.
CacheStorage storageOf(ElementType type, ScaleGranularity scales, CacheArrangement arrangement) {
  CacheStorage storage = smallStorage();
  CacheParameters &parameters = storage.parameters;
  parameters.keyType = parameters.valueType = type;
  parameters.numLayers = parameters.numKVHeads = 2;
  parameters.keyHeadDim = 32;
  parameters.keyScales = parameters.valueScales = scales;
  parameters.arrangement = arrangement;
  if (scales == ScaleGranularity::Group) {
    parameters.keyScaleGroup = 8;
    parameters.valueScaleGroup = 4;
  }
  if (isFloatArrayType(type))
    storage.elementType = type;
  return storage;
}

/// Every storage that there is.
std::vector<Case> cases() {
  CacheSizes usual{12, 6, 4, 30, 3};
  std::vector<Case> all = {{"Small", usual, smallStorage(), 100'000},
                           {"OneTokenBlocks", {9, 5, 1, 7, 2}, smallStorage()}};
  for (uint32_t type = LLMIR_F32; type <= LLMIR_I4; ++type)
    for (uint32_t scales = LLMIR_SCALE_NONE; scales <= LLMIR_SCALE_GROUP; ++scales)
      for (uint32_t arrangement = LLMIR_CHANNEL_MAJOR_KEYS; arrangement <= LLMIR_PAIRS;
           ++arrangement) {
        auto granularity = ScaleGranularity(scales);
        auto order = CacheArrangement(arrangement);
        CacheStorage storage = storageOf(ElementType(type), granularity, order);
        storage.parameters.blockSize = usual.blockSize;
        storage.parameters.maxSeqLen = usual.maxSeqLen;
        if (makeCacheLayout(storage.parameters))
          all.push_back({elementTypeName(type) + "_" + scaleGranularityName(granularity) + "_" +
                             cacheArrangementName(order),
                         usual, storage, 2'000});
      }
  return all;
}

class PagedKVCacheMachine : public testing::TestWithParam<Case> {};

} // namespace

TEST_P(PagedKVCacheMachine, FollowsTheModel) {
  const Case &test = GetParam();
  checkMachine<CacheModel, CacheReplay>(
      CacheModel(test.sizes),
      [&] { return std::make_unique<CacheReplay>(test.sizes, test.storage); },
      machineOperations(test, cases()));
}

INSTANTIATE_TEST_SUITE_P(Storage, PagedKVCacheMachine, testing::ValuesIn(cases()),
                         [](const testing::TestParamInfo<Case> &info) { return info.param.name; });
