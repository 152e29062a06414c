// StepCollective: the function that compiled code calls, and the failure that it keeps.

#include "llmir/Distributed/StepCollective.h"

#include "ThreadRanks.h"

#include <vector>

using namespace llmir;
using namespace llmir::test;

TEST(StepCollective, AddsFloatsForCompiledCode) {
  runThreadRanks(3, [](Collective &group) {
    StepCollective adapter(group);
    llmir_step_args args{};
    adapter.describeTo(args);
    EXPECT_EQ(args.rank, group.rank());
    EXPECT_EQ(args.world_size, 3);
    std::vector<float> data = {1, static_cast<float>(group.rank())};
    args.all_reduce(args.collective, data.data(), 2);
    EXPECT_EQ(data, (std::vector<float>{3, 3}));
    EXPECT_TRUE(adapter.takeStatus().isOk());
  });
}

TEST(StepCollective, KeepsTheFirstFailureAndSkipsTheRest) {
  runThreadRanks(2, [](Collective &group) {
    StepCollective adapter(group);
    llmir_step_args args{};
    adapter.describeTo(args);
    std::vector<float> data = {1, 2};
    args.all_reduce(args.collective, data.data(), group.rank() + 1);
    args.all_reduce(args.collective, data.data(), 2);
    EXPECT_EQ(data, (std::vector<float>{1, 2}));
    EXPECT_EQ(adapter.takeStatus().code(), StatusCode::InvalidArgument);
    EXPECT_TRUE(adapter.takeStatus().isOk());
    args.all_reduce(args.collective, data.data(), 2);
    EXPECT_EQ(data, (std::vector<float>{2, 4}));
  });
}
