// Checks of one rank's end of a group, the same for every transport: every rank runs them.

#ifndef LLMIR_UNITTESTS_DISTRIBUTED_COLLECTIVECHECKS_H
#define LLMIR_UNITTESTS_DISTRIBUTED_COLLECTIVECHECKS_H

#include "llmir/Base/Float16.h"
#include "llmir/Distributed/Collective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

namespace llmir::test {

/// What `rank` contributes: magnitudes far apart, so that another order gives another sum.
inline std::vector<float> contribution(int32_t rank, int64_t count) {
  std::mt19937 random(static_cast<uint32_t>(rank) * 7919u + 17u);
  std::uniform_real_distribution<float> mantissa(-1, 1);
  std::uniform_int_distribution<int> exponent(-12, 12);
  std::vector<float> values(static_cast<size_t>(count));
  for (float &value : values)
    value = std::ldexp(mantissa(random), exponent(random));
  return values;
}

/// ((rank 0 + rank 1) + rank 2) …
inline std::vector<float> sequentialSum(int32_t ranks, int64_t count) {
  std::vector<float> sum = contribution(0, count);
  for (int32_t rank = 1; rank < ranks; ++rank) {
    std::vector<float> other = contribution(rank, count);
    for (size_t i = 0; i < sum.size(); ++i)
      sum[i] += other[i];
  }
  return sum;
}

template <typename T> bool sameBytes(const std::vector<T> &a, const std::vector<T> &b) {
  return a.size() == b.size() &&
         (a.empty() || !std::memcmp(a.data(), b.data(), a.size() * sizeof(T)));
}

inline void checkAllReduce(Collective &group, int64_t count) {
  std::vector<float> data = contribution(group.rank(), count);
  Status status = group.allReduceSum(data);
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_TRUE(sameBytes(data, sequentialSum(group.size(), count))) << count << " floats";
}

inline void checkReduceScatter(Collective &group, int64_t count) {
  std::vector<float> data = contribution(group.rank(), count * group.size());
  std::vector<float> part(static_cast<size_t>(count));
  Status status = group.reduceScatterSum(data.data(), part.data(), count, ReduceType::F32);
  ASSERT_TRUE(status.isOk()) << status.message();
  std::vector<float> sum = sequentialSum(group.size(), count * group.size());
  EXPECT_TRUE(sameBytes(part, std::vector<float>(sum.begin() + group.rank() * count,
                                                 sum.begin() + (group.rank() + 1) * count)))
      << count << " floats";
}

/// Sixteen-bit elements: added in f32, rounded once.
inline void checkSixteenBits(Collective &group, ReduceType type) {
  auto narrow = type == ReduceType::F16 ? &floatToHalf : &floatToBFloat16;
  auto widen = type == ReduceType::F16 ? &halfToFloat : &bfloat16ToFloat;
  std::vector<float> sum(100);
  std::vector<uint16_t> data(100), expected(100);
  for (int32_t rank = 0; rank < group.size(); ++rank) {
    std::vector<float> values = contribution(rank, 100);
    for (size_t i = 0; i < values.size(); ++i) {
      uint16_t rounded = narrow(values[i]);
      sum[i] = rank == 0 ? widen(rounded) : sum[i] + widen(rounded);
      expected[i] = narrow(sum[i]);
      if (rank == group.rank())
        data[i] = rounded;
    }
  }
  Status status = group.allReduceSum(data.data(), 100, type);
  ASSERT_TRUE(status.isOk()) << status.message();
  EXPECT_TRUE(sameBytes(data, expected)) << reduceTypeName(type);
}

inline void checkGatherAndBroadcast(Collective &group) {
  std::vector<int32_t> all(static_cast<size_t>(group.size()) * 3);
  std::vector<int32_t> mine = {group.rank(), group.rank() * 10, -group.rank()};
  Status status = group.allGather(mine.data(), all.data(), 12);
  ASSERT_TRUE(status.isOk()) << status.message();
  for (int32_t rank = 0; rank < group.size(); ++rank) {
    auto part = static_cast<size_t>(rank) * 3;
    EXPECT_EQ(all[part], rank);
    EXPECT_EQ(all[part + 1], rank * 10);
    EXPECT_EQ(all[part + 2], -rank);
  }
  for (int32_t root = 0; root < group.size(); ++root) {
    int32_t value = group.rank() == root ? 1000 + root : 0;
    status = group.broadcast(&value, sizeof value, root);
    ASSERT_TRUE(status.isOk()) << status.message();
    EXPECT_EQ(value, 1000 + root);
  }
}

/// Everybody sends a number around the ring; even ranks send first.
inline void checkMessages(Collective &group) {
  if (group.size() == 1)
    return;
  int32_t next = (group.rank() + 1) % group.size();
  int32_t previous = (group.rank() + group.size() - 1) % group.size();
  int64_t sent = 7 * group.rank(), received = -1;
  bool sendsFirst = group.rank() % 2 == 0;
  if (!sendsFirst) {
    ASSERT_TRUE(group.receive(&received, sizeof received, previous).isOk());
  }
  ASSERT_TRUE(group.send(&sent, sizeof sent, next).isOk());
  if (sendsFirst) {
    ASSERT_TRUE(group.receive(&received, sizeof received, previous).isOk());
  }
  EXPECT_EQ(received, 7 * previous);
}

/// Ranks that ask for different things all learn it, keep their data and can go on.
inline void checkMismatch(Collective &group) {
  if (group.size() == 1)
    return;
  std::vector<float> data(static_cast<size_t>(group.rank() == 1 ? 5 : 3), 1.0f);
  Status status = group.allReduceSum(data);
  EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
  EXPECT_NE(status.message().find("rank 0 asks for an all-reduce of 3 f32 and rank 1 for an "
                                  "all-reduce of 5 f32"),
            std::string::npos)
      << status.message();
  for (float value : data)
    EXPECT_EQ(value, 1.0f);
  checkAllReduce(group, 17);
}

/// A message of another size is an error for its receiver, and the next one arrives.
inline void checkMessageSizes(Collective &group) {
  if (group.size() == 1)
    return;
  int64_t numbers[2] = {1, 2};
  if (group.rank() == 0) {
    (void)group.send(numbers, 16, 1); // Threads tell the sender too.
    EXPECT_TRUE(group.send(numbers, 8, 1).isOk());
  } else if (group.rank() == 1) {
    int64_t number = 0;
    Status status = group.receive(&number, 8, 0);
    EXPECT_EQ(status.code(), StatusCode::InvalidArgument);
    EXPECT_NE(status.message().find("expected a message of 8 bytes, but the sender has one of 16"),
              std::string::npos)
        << status.message();
    ASSERT_TRUE(group.receive(&number, 8, 0).isOk());
    EXPECT_EQ(number, 1);
  }
}

inline void checkAgreement(Collective &group) {
  EXPECT_TRUE(group.agree(Status::ok()).isOk());
  int32_t last = group.size() - 1;
  Status status = group.agree(group.rank() == last ? resourceExhausted("need 12 blocks, 3 free")
                                                   : Status::ok());
  EXPECT_EQ(status.code(), StatusCode::ResourceExhausted);
  if (group.size() > 1) {
    EXPECT_EQ(status.message(), "rank " + std::to_string(last) + ": need 12 blocks, 3 free");
  }
}

inline void checkRefusals(Collective &group) {
  float value = 0;
  EXPECT_EQ(group.allReduceSum(&value, -1, ReduceType::F32).message(),
            "expected a size of 0 or more, but got -1");
  EXPECT_EQ(group.allReduceSum(nullptr, 4, ReduceType::F32).message(),
            "expected an array of size 4, but got a null pointer");
  EXPECT_EQ(group.broadcast(&value, 4, group.size()).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(group.send(&value, 4, group.rank()).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(group.receive(&value, 4, -1).code(), StatusCode::InvalidArgument);
}

/// All of it.
inline void checkCollective(Collective &group) {
  for (int64_t count : {0, 1, 3, 64, 1000, 40000, 600001})
    checkAllReduce(group, count);
  for (int64_t count : {0, 1, 65, 300000})
    checkReduceScatter(group, count);
  checkSixteenBits(group, ReduceType::F16);
  checkSixteenBits(group, ReduceType::BF16);
  checkGatherAndBroadcast(group);
  checkMessages(group);
  EXPECT_TRUE(group.barrier().isOk());
  checkMismatch(group);
  checkMessageSizes(group);
  checkAgreement(group);
  checkRefusals(group);
  for (int round = 0; round < 200; ++round)
    checkAllReduce(group, 1 + round % 7);
  EXPECT_TRUE(group.status().isOk());
}

} // namespace llmir::test

#endif // LLMIR_UNITTESTS_DISTRIBUTED_COLLECTIVECHECKS_H
