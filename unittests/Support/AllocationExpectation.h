// What the tests of allocations share: rounds that warm up, then rounds that are counted.

#ifndef LLMIR_UNITTESTS_SUPPORT_ALLOCATIONEXPECTATION_H
#define LLMIR_UNITTESTS_SUPPORT_ALLOCATIONEXPECTATION_H

#include "AllocationCounter.h"

#include <gtest/gtest.h>

namespace llmir::testing {

/// Calls round(i), which says whether it went well, for i from 0 on: `warmUp` times, then
/// `counted` times, in which nothing may be allocated.
template <typename Round> void expectNoAllocations(Round &&round, int warmUp, int counted) {
  int number = 0;
  for (; number < warmUp; ++number)
    ASSERT_TRUE(round(number)) << "round " << number;
  int64_t before = countAllocations();
  bool good = true;
  for (; number < warmUp + counted; ++number)
    good = round(number) && good;
  int64_t after = countAllocations();
  EXPECT_TRUE(good);
  EXPECT_EQ(after - before, 0) << "allocations in " << counted << " rounds";
}

} // namespace llmir::testing

#endif // LLMIR_UNITTESTS_SUPPORT_ALLOCATIONEXPECTATION_H
