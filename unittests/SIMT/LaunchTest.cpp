// Launches of kernels written in C: ids, barriers, shuffles and workgroup memory mean what they
// mean on a GPU.

#include "llmir/SIMT/Faults.h"
#include "llmir/SIMT/SIMT.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>
#include <vector>

namespace {

using Body = void (*)(const void *, llmir_simt_thread *);

/// A grid of `blocks` blocks of `threads` threads, both in x.
void launch(Body body, const void *arguments, int64_t blocks, int64_t threads,
            int64_t subgroupSize = 32, int64_t workgroupBytes = 0) {
  llmir_simt_launch_args args{"kernel",        body,         arguments,     {blocks, 1, 1},
                              {threads, 1, 1}, subgroupSize, workgroupBytes};
  llmir_simt_launch(&args);
}

class LaunchTest : public ::testing::Test {
protected:
  void SetUp() override { llmir::simt::takeFaults(); }
  void TearDown() override {
    for (const llmir::simt::Fault &fault : llmir::simt::takeFaults())
      ADD_FAILURE() << fault.toString();
  }
};

int64_t idOf(const llmir_simt_thread *thread) {
  return thread->block_id[0] * thread->block_dim[0] + thread->thread_id[0];
}

} // namespace

TEST_F(LaunchTest, RunsEveryThreadOfEveryBlockOnce) {
  struct Counts {
    int seen[2][3][2][2][2][3];
  } counts{};
  llmir_simt_launch_args args{"kernel",
                              [](const void *data, llmir_simt_thread *t) {
                                auto &seen = (*static_cast<Counts *const *>(data))->seen;
                                ++seen[t->block_id[2]][t->block_id[1]][t->block_id[0]]
                                      [t->thread_id[2]][t->thread_id[1]][t->thread_id[0]];
                                EXPECT_EQ(t->block_dim[0], 3);
                                EXPECT_EQ(t->grid_dim[1], 3);
                              },
                              nullptr,
                              {2, 3, 2},
                              {3, 2, 2},
                              32,
                              0};
  Counts *pointer = &counts;
  args.arguments = &pointer;
  llmir_simt_launch(&args);
  const int *first = &counts.seen[0][0][0][0][0][0];
  for (int i = 0; i < 2 * 3 * 2 * 2 * 2 * 3; ++i)
    EXPECT_EQ(first[i], 1);
}

TEST_F(LaunchTest, RunsNothingWhereTheGridIsEmpty) {
  launch([](const void *, llmir_simt_thread *) { FAIL() << "no thread was expected"; }, nullptr, 0,
         32);
}

TEST_F(LaunchTest, LetsNoThreadPassABarrierBeforeAllHaveReachedIt) {
  static int arrived;
  arrived = 0;
  launch(
      [](const void *, llmir_simt_thread *thread) {
        for (int round = 1; round <= 5; ++round) {
          ++arrived;
          llmir_simt_barrier(thread, "first");
          EXPECT_EQ(arrived, round * 70);
          llmir_simt_barrier(thread, "second");
        }
      },
      nullptr, 1, 70);
}

TEST_F(LaunchTest, SharesWorkgroupMemoryWithinABlockOnly) {
  // Each thread gives its id to its neighbour.
  std::vector<int64_t> output(3 * 40);
  int64_t *data = output.data();
  launch(
      [](const void *arguments, llmir_simt_thread *thread) {
        auto *shared = reinterpret_cast<int64_t *>(thread->workgroup);
        int64_t number = thread->thread_id[0], next = (number + 1) % 40;
        llmir_simt_workgroup_access(thread, number * 8, 1, "store");
        shared[number] = idOf(thread);
        llmir_simt_barrier(thread, "barrier");
        llmir_simt_workgroup_access(thread, next * 8, 0, "load");
        (*static_cast<int64_t *const *>(arguments))[idOf(thread)] = shared[next];
      },
      &data, 3, 40, 32, 40 * 8);
  for (int64_t block = 0; block < 3; ++block)
    for (int64_t i = 0; i < 40; ++i)
      EXPECT_EQ(output[static_cast<size_t>(block * 40 + i)], block * 40 + (i + 1) % 40);
}

namespace {
struct ShuffleArguments {
  int32_t mode, offset, width;
  std::vector<int64_t> *result;
  std::vector<int> *valid;
};

/// What each of 64 threads in subgroups of 32 gets when all hand out 100 + their number.
void shuffle(ShuffleArguments &arguments) {
  arguments.result->assign(64, 0);
  arguments.valid->assign(64, 0);
  launch(
      [](const void *data, llmir_simt_thread *thread) {
        const auto &a = *static_cast<const ShuffleArguments *>(data);
        auto number = static_cast<size_t>(thread->thread_id[0]);
        uint8_t valid = 2;
        (*a.result)[number] = llmir_simt_shuffle(thread, 100 + thread->thread_id[0], a.mode,
                                                 a.offset, a.width, &valid, "shuffle");
        (*a.valid)[number] = valid;
      },
      &arguments, 1, 64);
}
} // namespace

TEST_F(LaunchTest, ShufflesWithinASegment) {
  std::vector<int64_t> result;
  std::vector<int> valid;
  for (int32_t width : {8, 32})
    for (int32_t mode : {LLMIR_SIMT_SHUFFLE_XOR, LLMIR_SIMT_SHUFFLE_UP, LLMIR_SIMT_SHUFFLE_DOWN,
                         LLMIR_SIMT_SHUFFLE_INDEX}) {
      ShuffleArguments arguments{mode, 3, width, &result, &valid};
      shuffle(arguments);
      for (int64_t i = 0; i < 64; ++i) {
        int64_t segment = i / width * width;
        int64_t source = mode == LLMIR_SIMT_SHUFFLE_XOR    ? i ^ 3
                         : mode == LLMIR_SIMT_SHUFFLE_UP   ? i - 3
                         : mode == LLMIR_SIMT_SHUFFLE_DOWN ? i + 3
                                                           : segment + 3;
        bool inside = source >= segment && source < segment + width;
        auto at = static_cast<size_t>(i);
        EXPECT_EQ(valid[at], inside) << "mode " << mode << ", thread " << i;
        EXPECT_EQ(result[at], 100 + (inside ? source : i)) << "mode " << mode << ", thread " << i;
      }
    }
}

TEST_F(LaunchTest, ReducesByShuffles) {
  std::vector<int64_t> sums(96);
  int64_t *data = sums.data();
  launch(
      [](const void *arguments, llmir_simt_thread *thread) {
        int64_t sum = thread->thread_id[0];
        for (int32_t offset = 16; offset > 0; offset /= 2) {
          uint8_t valid;
          sum += llmir_simt_shuffle(thread, sum, LLMIR_SIMT_SHUFFLE_XOR, offset, 32, &valid,
                                    "shuffle");
          EXPECT_TRUE(valid);
        }
        (*static_cast<int64_t *const *>(arguments))[thread->thread_id[0]] = sum;
      },
      &data, 1, 96);
  for (size_t i = 0; i < sums.size(); ++i) {
    auto first = static_cast<int64_t>(i / 32 * 32);
    EXPECT_EQ(sums[i], 32 * first + 31 * 32 / 2);
  }
}

TEST_F(LaunchTest, ShufflesWithoutThreadsThatHaveEnded) {
  launch(
      [](const void *, llmir_simt_thread *thread) {
        if (thread->thread_id[0] >= 5)
          return;
        uint8_t valid;
        int64_t got = llmir_simt_shuffle(thread, thread->thread_id[0], LLMIR_SIMT_SHUFFLE_DOWN, 1,
                                         32, &valid, "shuffle");
        EXPECT_EQ(valid, thread->thread_id[0] < 4);
        EXPECT_EQ(got, std::min<int64_t>(thread->thread_id[0] + 1, 4));
      },
      nullptr, 1, 32);
}
