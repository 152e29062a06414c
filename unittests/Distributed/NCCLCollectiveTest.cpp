// The NCCL adapter against stand-in libraries, and what it says when there is none.

#include "llmir/Distributed/NCCLCollective.h"

#include <gtest/gtest.h>

#include <cstring>
#include <vector>

using namespace llmir;

namespace {

int fakeStream = 0;

NCCLRank onlyRank(const NCCLGroupId &group) {
  NCCLRank rank;
  rank.group = group;
  rank.stream = &fakeStream;
  return rank;
}

} // namespace

TEST(NCCLLibrary, SaysWhatItLookedFor) {
  auto library = NCCLLibrary::open("/nowhere/libnccl.so.2");
  ASSERT_FALSE(library.isOk());
  EXPECT_EQ(library.status().code(), StatusCode::NotFound);
  EXPECT_NE(library.status().message().find("no NCCL or RCCL library"), std::string::npos);
  EXPECT_NE(library.status().message().find("/nowhere/libnccl.so.2"), std::string::npos);
}

TEST(NCCLLibrary, IsNotNeeded) {
  auto library = NCCLLibrary::open();
  if (library.isOk())
    GTEST_SKIP() << "this host has NCCL " << (*library)->version();
  EXPECT_EQ(library.status().code(), StatusCode::NotFound);
  for (const char *name : {"libnccl.so.2", "librccl.so.1"})
    EXPECT_NE(library.status().message().find(name), std::string::npos);
}

TEST(NCCLLibrary, NamesAMissingFunction) {
  auto library = NCCLLibrary::open(LLMIR_FAKE_NCCL_WITHOUT_SEND);
  ASSERT_FALSE(library.isOk());
  EXPECT_EQ(library.status().message(),
            "expected the function ncclSend in the collectives library");
}

TEST(NCCLCollective, PassesOperationsOn) {
  auto library = NCCLLibrary::open(LLMIR_FAKE_NCCL);
  ASSERT_TRUE(library.isOk()) << library.status().message();
  EXPECT_EQ((*library)->version(), 21803);
  auto group = (*library)->newGroup();
  ASSERT_TRUE(group.isOk());
  auto collective = (*library)->join(onlyRank(*group));
  ASSERT_TRUE(collective.isOk()) << collective.status().message();
  EXPECT_EQ((*collective)->memory(), CollectiveMemory::Device);
  EXPECT_EQ((*collective)->sumOrder(), SumOrder::Unspecified);

  std::vector<float> data = {1, 2, 3}, other(3);
  EXPECT_TRUE((*collective)->allReduceSum(data).isOk());
  EXPECT_TRUE(
      (*collective)->reduceScatterSum(data.data(), other.data(), 3, ReduceType::F32).isOk());
  EXPECT_EQ(other, data);
  EXPECT_TRUE((*collective)->allGather(data.data(), other.data(), 12).isOk());
  EXPECT_TRUE((*collective)->broadcast(data.data(), 12, 0).isOk());
  EXPECT_EQ((*collective)->barrier().code(), StatusCode::FailedPrecondition);
  // Alone, one agrees with oneself.
  EXPECT_TRUE((*collective)->agree(Status::ok()).isOk());
  EXPECT_EQ((*collective)->allGatherHost(data.data(), other.data(), 12).message(),
            "all-gather: telling the other ranks something over NCCL needs 2 or more bytes of "
            "device memory and functions that copy (NCCLRank::staging), but there are 0");
  EXPECT_TRUE((*collective)->status().isOk());
}

TEST(NCCLCollective, AddsInRankOrderWithAKernel) {
  auto library = *NCCLLibrary::open(LLMIR_FAKE_NCCL);
  NCCLRank rank = onlyRank(*library->newGroup());
  std::vector<float> scratch(4);
  rank.sum.function = [](void *, const void *parts, void *sum, int64_t count, int32_t ranks,
                         ReduceType, void *) {
    EXPECT_EQ(ranks, 1);
    std::memcpy(sum, parts, static_cast<size_t>(count) * 4);
    return Status::ok();
  };
  rank.sum.scratch = scratch.data();
  rank.sum.scratchBytes = 16;
  auto collective = *library->join(rank);
  EXPECT_EQ(collective->sumOrder(), SumOrder::RankOrder);
  std::vector<float> data = {1, 2, 3, 4}, larger(5);
  EXPECT_TRUE(collective->allReduceSum(data).isOk());
  EXPECT_EQ(scratch, data);
  Status status = collective->allReduceSum(larger);
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  EXPECT_EQ(status.message(), "all-reduce: gathering 20 bytes of 1 ranks needs 20 bytes of "
                              "scratch, but there are 16");
}

TEST(NCCLCollective, ReportsErrorsAndEndsTheGroup) {
  auto library = *NCCLLibrary::open(LLMIR_FAKE_NCCL);
  NCCLRank rank = onlyRank(NCCLGroupId{});
  rank.size = 2;
  EXPECT_EQ(library->join(rank).status().message(),
            "ncclCommInitRank failed with 4: invalid argument");
  rank.rank = 2;
  EXPECT_EQ(library->join(rank).status().code(), StatusCode::InvalidArgument);

  auto collective = *library->join(onlyRank(*library->newGroup()));
  char bytes[13] = {};
  Status status = collective->broadcast(bytes, 13, 0);
  EXPECT_EQ(status.message(),
            "broadcast: an earlier operation failed with 1: unhandled cuda error");
  EXPECT_EQ(collective->barrier().code(), StatusCode::Internal);
  EXPECT_FALSE(collective->status().isOk());
}
