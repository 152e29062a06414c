// Runs a function on every rank of a group of threads.

#ifndef LLMIR_UNITTESTS_DISTRIBUTED_THREADRANKS_H
#define LLMIR_UNITTESTS_DISTRIBUTED_THREADRANKS_H

#include "llmir/Distributed/ThreadCollective.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace llmir::test {

template <typename Function> void runThreadRanks(int32_t size, Function &&function) {
  auto group = ThreadCollectiveGroup::create(size);
  ASSERT_TRUE(group.isOk()) << group.status().message();
  std::vector<std::thread> threads;
  for (int32_t rank = 0; rank < size; ++rank)
    threads.emplace_back([&, rank] { function((*group)->rank(rank)); });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace llmir::test

#endif // LLMIR_UNITTESTS_DISTRIBUTED_THREADRANKS_H
