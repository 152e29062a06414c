// Running a grid: the blocks one after another, a block's threads as fibers that run until they
// meet at a barrier or a shuffle, in the order of their numbers.

#include "FaultRecord.h"
#include "Fibers.h"
#include "WorkgroupMemory.h"

#include "llmir/SIMT/SIMT.h"

#include <algorithm>
#include <vector>

namespace llmir::simt {
namespace {

enum class State : uint8_t { Runnable, AtBarrier, AtShuffle, Ended };

class BlockRun;

/// A thread as the scheduler sees it; the seam's part comes first.
struct Thread : llmir_simt_thread {
  BlockRun *block = nullptr;
  int32_t number = 0; ///< In the block.
  State state = State::Ended;
  const char *where = nullptr; ///< The barrier or shuffle at which it waits.
  int64_t deposited = 0;       ///< Bits for the shuffle that is being gathered.
};

/// Threads that shuffle with one another.
struct Subgroup {
  int64_t size = 0;
  int64_t alive = 0;
  int64_t waiting = 0;
  /// The last complete shuffle: overwritten only when all have read it.
  std::vector<int64_t> bits;
  std::vector<bool> tookPart;
};

/// The threads of one block at a time.
class BlockRun {
public:
  explicit BlockRun(const llmir_simt_launch_args &launch)
      : launch(launch), threads(static_cast<size_t>(countThreads(launch))), fibers(threads.size()),
        memory(launch.workgroup_bytes) {
    fibers.body = [this](size_t index) { runThread(threads[index]); };
    int64_t size = launch.subgroup_size, count = static_cast<int64_t>(threads.size());
    for (int64_t first = 0; first < count; first += size) {
      Subgroup group;
      group.size = std::min(size, count - first);
      group.bits.resize(static_cast<size_t>(group.size));
      group.tookPart.resize(static_cast<size_t>(group.size));
      subgroups.push_back(std::move(group));
    }
  }

  void run(const int64_t block[3]);
  void barrier(Thread &thread, const char *where);
  int64_t shuffle(Thread &thread, int64_t bits, const char *where, int64_t source, bool inSegment,
                  uint8_t *valid);
  void access(Thread &thread, int64_t offset, bool isWrite, const char *where);
  void report(const Thread &thread, FaultKind kind, const char *where, std::string message) const;

  int64_t laneOf(const Thread &thread) const { return thread.number % launch.subgroup_size; }

private:
  static int64_t countThreads(const llmir_simt_launch_args &launch) {
    return launch.block_dim[0] * launch.block_dim[1] * launch.block_dim[2];
  }
  void reset(const int64_t block[3]);
  void runThread(Thread &thread);
  void wait(const Thread &thread) { fibers.suspend(static_cast<size_t>(thread.number)); }
  void releaseBarrier();
  void releaseShuffle(size_t group);
  void reportDeadlock() const;
  Subgroup &subgroupOf(const Thread &thread) {
    return subgroups[static_cast<size_t>(thread.number / launch.subgroup_size)];
  }

  const llmir_simt_launch_args &launch;
  std::vector<Thread> threads;
  std::vector<Subgroup> subgroups;
  Fibers fibers;
  WorkgroupMemory memory;
  int64_t phase = 0; ///< Barriers that the launch has passed.
  int64_t alive = 0, atBarrier = 0;
};

void BlockRun::reset(const int64_t block[3]) {
  memory.reset();
  alive = static_cast<int64_t>(threads.size());
  atBarrier = 0;
  for (Subgroup &group : subgroups) {
    group.alive = group.size;
    group.waiting = 0;
  }
  for (size_t index = 0; index < threads.size(); ++index) {
    Thread &thread = threads[index];
    auto number = static_cast<int64_t>(index);
    thread.number = static_cast<int32_t>(number);
    thread.block = this;
    thread.state = State::Runnable;
    thread.where = nullptr;
    thread.workgroup = memory.data();
    for (int dimension = 0; dimension < 3; ++dimension) {
      thread.thread_id[dimension] = number % launch.block_dim[dimension];
      number /= launch.block_dim[dimension];
      thread.block_id[dimension] = block[dimension];
      thread.block_dim[dimension] = launch.block_dim[dimension];
      thread.grid_dim[dimension] = launch.grid_dim[dimension];
    }
    fibers.start(index);
  }
}

void BlockRun::run(const int64_t block[3]) {
  reset(block);
  while (alive > 0) {
    bool progress = false;
    for (size_t index = 0; index < threads.size(); ++index)
      if (threads[index].state == State::Runnable) {
        fibers.resume(index);
        progress = true;
      }
    if (!progress)
      return reportDeadlock();
  }
}

void BlockRun::runThread(Thread &thread) {
  launch.body(launch.arguments, &thread);
  thread.state = State::Ended;
  --alive;
  Subgroup &group = subgroupOf(thread);
  --group.alive;
  // Those who wait for the rest of the subgroup do not wait for one that has ended; those at a
  // barrier do, and the block is given up.
  if (group.waiting > 0 && group.waiting == group.alive)
    releaseShuffle(static_cast<size_t>(thread.number / launch.subgroup_size));
}

void BlockRun::barrier(Thread &thread, const char *where) {
  ++atBarrier;
  thread.state = State::AtBarrier;
  thread.where = where;
  bool allAtOne = atBarrier == static_cast<int64_t>(threads.size()) &&
                  std::all_of(threads.begin(), threads.end(),
                              [&](const Thread &other) { return other.where == where; });
  if (allAtOne)
    return releaseBarrier();
  wait(thread);
}

void BlockRun::releaseBarrier() {
  atBarrier = 0;
  ++phase;
  for (Thread &thread : threads)
    thread.state = State::Runnable;
}

int64_t BlockRun::shuffle(Thread &thread, int64_t bits, const char *where, int64_t source,
                          bool inSegment, uint8_t *valid) {
  Subgroup &group = subgroupOf(thread);
  thread.deposited = bits;
  thread.state = State::AtShuffle;
  thread.where = where;
  ++group.waiting;
  if (group.waiting == group.alive)
    releaseShuffle(static_cast<size_t>(thread.number / launch.subgroup_size));
  else
    wait(thread);
  bool isThere = inSegment && source < group.size && group.tookPart[static_cast<size_t>(source)];
  *valid = isThere ? 1 : 0;
  return isThere ? group.bits[static_cast<size_t>(source)] : bits;
}

void BlockRun::releaseShuffle(size_t number) {
  Subgroup &group = subgroups[number];
  size_t first = number * static_cast<size_t>(launch.subgroup_size);
  const Thread *before = nullptr;
  for (size_t lane = 0; lane < static_cast<size_t>(group.size); ++lane) {
    Thread &thread = threads[first + lane];
    group.tookPart[lane] = thread.state == State::AtShuffle;
    if (!group.tookPart[lane])
      continue;
    group.bits[lane] = thread.deposited;
    thread.state = State::Runnable;
    if (before && before->where != thread.where)
      report(thread, FaultKind::Divergence, thread.where,
             "expected the subgroup's threads at one shuffle, but thread " +
                 std::to_string(before->number) + " is at " + before->where);
    before = &thread;
  }
  group.waiting = 0;
}

void BlockRun::access(Thread &thread, int64_t offset, bool isWrite, const char *where) {
  auto conflict = memory.access(offset, isWrite, thread.number, phase);
  if (!conflict)
    return;
  if (conflict->isUndefined)
    return report(thread, FaultKind::Undefined, where,
                  "expected workgroup memory that a thread has written, but byte " +
                      std::to_string(offset) + " has no value");
  report(thread, FaultKind::Race, where,
         std::string("expected a barrier between the ") + (isWrite ? "write of" : "read of") +
             " byte " + std::to_string(offset) + " of workgroup memory and the " +
             (conflict->otherWrote ? "write" : "read") + " by thread " +
             std::to_string(conflict->otherThread));
}

void BlockRun::report(const Thread &thread, FaultKind kind, const char *where,
                      std::string message) const {
  Fault fault;
  fault.kind = kind;
  fault.kernel = launch.name;
  fault.where = where;
  fault.message = std::move(message);
  std::copy_n(thread.block_id, 3, fault.block.begin());
  std::copy_n(thread.thread_id, 3, fault.thread.begin());
  recordFault(std::move(fault));
}

/// Nobody can run: threads wait for others that have ended or wait elsewhere.
void BlockRun::reportDeadlock() const {
  int64_t ended = 0, barriers = 0, shuffles = 0;
  const Thread *first = nullptr;
  for (const Thread &thread : threads) {
    ended += thread.state == State::Ended;
    barriers += thread.state == State::AtBarrier;
    shuffles += thread.state == State::AtShuffle;
    if (!first && thread.state != State::Ended)
      first = &thread;
  }
  report(*first, FaultKind::Divergence, first->where,
         "expected all " + std::to_string(threads.size()) + " threads to meet, but " +
             std::to_string(barriers) + " are at barriers, " + std::to_string(shuffles) +
             " at shuffles, and " + std::to_string(ended) + " have ended");
}

} // namespace
} // namespace llmir::simt

using llmir::simt::FaultKind;
using llmir::simt::Thread;

void llmir_simt_launch(const llmir_simt_launch_args *launch) {
  if (launch->block_dim[0] * launch->block_dim[1] * launch->block_dim[2] <= 0)
    return;
  llmir::simt::BlockRun run(*launch);
  int64_t block[3];
  for (block[2] = 0; block[2] < launch->grid_dim[2]; ++block[2])
    for (block[1] = 0; block[1] < launch->grid_dim[1]; ++block[1])
      for (block[0] = 0; block[0] < launch->grid_dim[0]; ++block[0])
        run.run(block);
}

void llmir_simt_barrier(llmir_simt_thread *thread, const char *where) {
  auto *self = static_cast<Thread *>(thread);
  self->block->barrier(*self, where);
}

int64_t llmir_simt_shuffle(llmir_simt_thread *thread, int64_t bits, int32_t mode, int32_t offset,
                           int32_t width, uint8_t *valid, const char *where) {
  auto *self = static_cast<Thread *>(thread);
  int64_t lane = self->block->laneOf(*self);
  int64_t segment = lane / width * width;
  int64_t source = mode == LLMIR_SIMT_SHUFFLE_XOR    ? lane ^ offset
                   : mode == LLMIR_SIMT_SHUFFLE_UP   ? lane - offset
                   : mode == LLMIR_SIMT_SHUFFLE_DOWN ? lane + offset
                                                     : segment + offset;
  bool inSegment = source >= segment && source < segment + width;
  return self->block->shuffle(*self, bits, where, source, inSegment, valid);
}

void llmir_simt_out_of_bounds(llmir_simt_thread *thread, int64_t index, int64_t size,
                              const char *where) {
  auto *self = static_cast<Thread *>(thread);
  self->block->report(*self, FaultKind::OutOfBounds, where,
                      "expected an index below " + std::to_string(size) + ", but got " +
                          std::to_string(index));
}

void llmir_simt_workgroup_access(llmir_simt_thread *thread, int64_t offset, int32_t is_write,
                                 const char *where) {
  auto *self = static_cast<Thread *>(thread);
  self->block->access(*self, offset, is_write != 0, where);
}
