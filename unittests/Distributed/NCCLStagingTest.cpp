// What ranks tell each other over NCCL: statuses and a divided cache's arrays travel through device
// memory. The stand-in for that memory holds every byte changed, so that a host array which is
// given to the library as it is comes out wrong.

#include "DistributedCacheChecks.h"
#include "ThreadRanks.h"

#include "llmir/Distributed/NCCLCollective.h"
#include "llmir/Distributed/StepCollective.h"

#include <gmock/gmock.h>

#include <cstring>
#include <thread>
#include <vector>

using namespace llmir;
using namespace llmir::test;
using testing::HasSubstr;

namespace {

Status copyChanged(void *, void *target, const void *source, int64_t bytes, void *) {
  for (int64_t i = 0; i < bytes; ++i)
    static_cast<uint8_t *>(target)[i] =
        static_cast<uint8_t>(static_cast<const uint8_t *>(source)[i] ^ 0x5a);
  return Status::ok();
}

/// Runs a function on every rank of a group whose staging memory has `stagingBytes` bytes.
template <typename Function>
void runNCCLRanks(int32_t size, int64_t stagingBytes, Function &&function) {
  auto library = NCCLLibrary::open(LLMIR_FAKE_NCCL);
  ASSERT_TRUE(library.isOk()) << library.status().message();
  NCCLGroupId group = *(*library)->newGroup();
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] {
      int stream = 0;
      std::vector<uint8_t> memory(static_cast<size_t>(stagingBytes));
      NCCLRank options;
      options.group = group;
      options.rank = rank;
      options.size = size;
      options.stream = &stream;
      options.staging = {&copyChanged, &copyChanged, nullptr, memory.data(), stagingBytes};
      auto collective = (*library)->join(options);
      ASSERT_TRUE(collective.isOk()) << collective.status().message();
      function(**collective);
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace

TEST(NCCLStaging, RanksAgree) {
  // In one piece, in pieces of 100 bytes, and byte by byte.
  for (int64_t bytes : {4096, 400, 4})
    runNCCLRanks(3, bytes, [](Collective &group) {
      EXPECT_TRUE(group.agree(Status::ok()).isOk());
      for (int32_t failing = 0; failing < 3; ++failing) {
        Status mine =
            group.rank() >= failing
                ? resourceExhausted("need 12 blocks, " + std::to_string(group.rank()) + " free")
                : Status::ok();
        Status status = group.agree(mine);
        EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
        EXPECT_EQ(status.message(), "rank " + std::to_string(failing) + ": need 12 blocks, " +
                                        std::to_string(failing) + " free");
      }
    });
}

TEST(NCCLStaging, GathersHostArrays) {
  for (int64_t staging : {4, 5, 11, 1000})
    for (int64_t bytes : {0, 1, 3, 64, 777})
      runNCCLRanks(3, staging, [&](Collective &group) {
        std::vector<uint8_t> mine(static_cast<size_t>(bytes)), all(3 * mine.size(), 0xee), expected;
        for (size_t rank = 0; rank < 3; ++rank)
          for (size_t i = 0; i < mine.size(); ++i)
            expected.push_back(static_cast<uint8_t>(31 * i + 7 * rank));
        for (size_t i = 0; i < mine.size(); ++i)
          mine[i] = static_cast<uint8_t>(31 * i + 7 * static_cast<size_t>(group.rank()));
        Status status = group.allGatherHost(mine.data(), all.data(), bytes);
        EXPECT_TRUE(status.isOk()) << status.message();
        EXPECT_EQ(all, expected);
      });
}

TEST(NCCLStaging, NeedsAByteForEachRankAndOne) {
  runNCCLRanks(3, 3, [](Collective &group) {
    Status status = group.agree(Status::ok());
    EXPECT_EQ(status.code(), StatusCode::FailedPrecondition);
    EXPECT_THAT(status.message(), HasSubstr("needs 4 or more bytes of device memory"));
    EXPECT_THAT(status.message(), HasSubstr("but there are 3"));
  });
}

TEST(NCCLStaging, AFailedCopyEndsTheGroup) {
  auto library = *NCCLLibrary::open(LLMIR_FAKE_NCCL);
  NCCLRank options;
  int stream = 0;
  char memory[8];
  options.group = *library->newGroup();
  options.stream = &stream;
  options.staging = {[](void *, void *, const void *, int64_t bytes, void *) {
                       return internalError("no copy of " + std::to_string(bytes) + " bytes");
                     },
                     &copyChanged, nullptr, memory, sizeof memory};
  auto collective = *library->join(options);
  char from[4] = {}, to[4] = {};
  EXPECT_EQ(collective->allGatherHost(from, to, 4).message(),
            "all-gather: staging: no copy of 4 bytes");
  EXPECT_EQ(collective->status().message(), "staging: no copy of 4 bytes");
  EXPECT_EQ(collective->barrier().message(), "staging: no copy of 4 bytes");
}

TEST(NCCLStaging, ADividedCacheWorksOverIt) {
  for (ShardingStrategy strategy : allStrategies)
    runNCCLRanks(2, 1 << 12,
                 [&](Collective &group) { checkDistributedCache(strategy, 2, &group, 60); });
  runNCCLRanks(2, 600, [](Collective &group) { checkFullDevice(&group, 2); });
}

TEST(NCCLStaging, AStepOnTheHostAddsInRankOrder) {
  runNCCLRanks(3, 64, [](Collective &group) {
    StepCollective adapter(group);
    llmir_step_args args{};
    adapter.describeTo(args);
    // (1e8 + 1) + -1e8 is 0 in f32, in another order 1.
    const float parts[] = {1e8f, 1.0f, -1e8f};
    std::vector<float> data(50, parts[group.rank()]);
    args.all_reduce(args.collective, data.data(), 50);
    EXPECT_TRUE(adapter.takeStatus().isOk());
    EXPECT_EQ(data, std::vector<float>(50, 0.0f));
  });
}

TEST(NCCLStaging, AStepOnADeviceNeedsACollectiveThere) {
  auto group = *ThreadCollectiveGroup::create(1);
  StepCollective adapter(group->rank(0), CollectiveMemory::Device);
  llmir_step_args args{};
  adapter.describeTo(args);
  float value = 1;
  args.all_reduce(args.collective, &value, 1);
  EXPECT_EQ(adapter.takeStatus().message(),
            "expected a collective over device memory for a step on a device, but got one over "
            "threads");
}
