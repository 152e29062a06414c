// What kernels do wrong is recorded with the kernel, the place, the block and the thread, and a
// launch always returns.

#include "llmir/SIMT/Faults.h"
#include "llmir/SIMT/SIMT.h"

#include <gmock/gmock.h>

using namespace llmir::simt;
using ::testing::HasSubstr;

namespace {

std::vector<Fault> run(void (*body)(const void *, llmir_simt_thread *), int64_t threads = 40) {
  takeFaults();
  llmir_simt_launch_args args{"kernel", body, nullptr, {1, 1, 1}, {threads, 1, 1}, 32, 1024};
  llmir_simt_launch(&args);
  return takeFaults();
}

TEST(FaultsTest, NamesAnAccessOutOfBoundsOnce) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    if (thread->thread_id[0] >= 7)
      llmir_simt_out_of_bounds(thread, thread->thread_id[0], 7, "memref.load loc(here)");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::OutOfBounds);
  EXPECT_EQ(faults[0].toString(), "kernel: expected an index below 7, but got 7 at memref.load "
                                  "loc(here), in block (0, 0, 0), thread (7, 0, 0)");
}

TEST(FaultsTest, NamesARaceBetweenAWriteAndARead) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    llmir_simt_workgroup_access(thread, thread->thread_id[0] * 4, 1, "store");
    llmir_simt_workgroup_access(thread, (thread->thread_id[0] ^ 1) * 4, 0, "load");
  });
  ASSERT_FALSE(faults.empty());
  for (const Fault &fault : faults)
    EXPECT_THAT(fault.kind, ::testing::AnyOf(FaultKind::Race, FaultKind::Undefined));
  EXPECT_TRUE(std::any_of(faults.begin(), faults.end(),
                          [](const Fault &fault) { return fault.kind == FaultKind::Race; }));
}

TEST(FaultsTest, NamesARaceBetweenWrites) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    llmir_simt_workgroup_access(thread, 0, 1, "store");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Race);
  EXPECT_THAT(faults[0].message,
              HasSubstr("the write of byte 0 of workgroup memory and the write by thread 0"));
}

TEST(FaultsTest, NamesARaceWithEarlierReaders) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    if (thread->thread_id[0] == 0)
      llmir_simt_workgroup_access(thread, 8, 1, "first store");
    llmir_simt_barrier(thread, "barrier");
    llmir_simt_workgroup_access(thread, 8, 0, "load");
    if (thread->thread_id[0] == 38)
      llmir_simt_workgroup_access(thread, 8, 1, "second store");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Race);
  EXPECT_EQ(faults[0].where, "second store");
}

TEST(FaultsTest, AllowsWhatBarriersSeparate) {
  EXPECT_TRUE(run([](const void *, llmir_simt_thread *thread) {
                for (int round = 0; round < 3; ++round) {
                  if (thread->thread_id[0] == round)
                    llmir_simt_workgroup_access(thread, 0, 1, "store");
                  llmir_simt_barrier(thread, "written");
                  llmir_simt_workgroup_access(thread, 0, 0, "load");
                  llmir_simt_barrier(thread, "read");
                }
              }).empty());
}

TEST(FaultsTest, NamesAReadOfWhatNobodyWrote) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    llmir_simt_workgroup_access(thread, 12, 0, "load");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Undefined);
}

TEST(FaultsTest, NamesABarrierThatThreadsDoNotReach) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    if (thread->thread_id[0] != 3)
      llmir_simt_barrier(thread, "barrier");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Divergence);
  EXPECT_EQ(faults[0].message,
            "expected all 40 threads to meet, but 39 are at barriers, 0 at shuffles, and 1 have "
            "ended");
}

TEST(FaultsTest, NamesThreadsAtDifferentBarriers) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    llmir_simt_barrier(thread, thread->thread_id[0] < 20 ? "low" : "high");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Divergence);
}

TEST(FaultsTest, NamesAShuffleThatWaitsForABarrier) {
  std::vector<Fault> faults = run([](const void *, llmir_simt_thread *thread) {
    uint8_t valid;
    if (thread->thread_id[0] == 0)
      llmir_simt_barrier(thread, "barrier");
    else
      llmir_simt_shuffle(thread, 0, LLMIR_SIMT_SHUFFLE_XOR, 1, 32, &valid, "shuffle");
  });
  ASSERT_EQ(faults.size(), 1u);
  EXPECT_EQ(faults[0].kind, FaultKind::Divergence);
}

TEST(FaultsTest, GoesOnWithTheNextBlock) {
  takeFaults();
  static int ended;
  ended = 0;
  llmir_simt_launch_args args{"kernel",
                              [](const void *, llmir_simt_thread *thread) {
                                if (thread->block_id[0] == 0 && thread->thread_id[0] == 0)
                                  return;
                                llmir_simt_barrier(thread, "barrier");
                                ++ended;
                              },
                              nullptr,
                              {2, 1, 1},
                              {8, 1, 1},
                              32,
                              0};
  llmir_simt_launch(&args);
  EXPECT_EQ(takeFaults().size(), 1u);
  EXPECT_EQ(ended, 8);
}

} // namespace
