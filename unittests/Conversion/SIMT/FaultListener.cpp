// Every test of this program fails when a kernel accessed memory out of bounds, raced, read what
// nobody had written, or lost threads at a barrier.

#include "llmir/SIMT/Faults.h"

#include <gtest/gtest.h>

namespace {
class FaultListener : public ::testing::EmptyTestEventListener {
  void OnTestEnd(const ::testing::TestInfo &) override {
    for (const llmir::simt::Fault &fault : llmir::simt::takeFaults())
      ADD_FAILURE() << fault.toString();
  }
};

/// Added before main runs.
[[maybe_unused]] const bool added = [] {
  ::testing::UnitTest::GetInstance()->listeners().Append(new FaultListener);
  return true;
}();
} // namespace
