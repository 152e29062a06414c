// WorkerTeam: the threads that run a step together. It starts one parallel region at a time, and
// inside a region there is nothing but the work and a barrier that spins before it sleeps. It is
// not a task queue: no lock, no allocation, and no system call but the futex of a sleeping waiter.

#ifndef LLMIR_DEVICE_WORKERTEAM_H
#define LLMIR_DEVICE_WORKERTEAM_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <memory>
#include <type_traits>
#include <vector>

namespace llmir {

/// The CPUs that this process may run on, as they were when first asked for (pinning a thread later
/// does not change the answer). Never empty.
const std::vector<int> &availableCPUs();

/// Whether a team's threads are bound to CPUs.
enum class Pinning {
  OneCPUEach, ///< To the CPUs that chooseCPUs() gives; nobody when there are more workers than
              ///< CPUs.
  None
};

struct WorkerTeamOptions {
  /// Workers, the calling thread included; 0 means one for each available CPU.
  int32_t workers = 0;
  Pinning pinning = Pinning::OneCPUEach;
  /// How long a waiter spins before it sleeps. Ignored (about a microsecond) when there are more
  /// workers than CPUs.
  int64_t spinMicroseconds = 50;
};

/// A fixed set of threads, of which the thread that calls create() and run() is worker 0: it is
/// pinned by create() and gets its old affinity back from the destructor (so threads that should
/// run elsewhere must be started before, or set their own). run() is for one thread at a time.
class WorkerTeam {
public:
  using RegionFunction = void (*)(void *argument, int32_t worker);

  /// Most workers a team may have.
  static constexpr int32_t maxWorkers = 1024;

  /// Starts the workers. InvalidArgument for a bad number; ResourceExhausted when a thread does not
  /// start.
  static StatusOr<std::unique_ptr<WorkerTeam>> create(const WorkerTeamOptions &options = {});
  ~WorkerTeam();
  WorkerTeam(const WorkerTeam &) = delete;
  WorkerTeam &operator=(const WorkerTeam &) = delete;

  int32_t size() const { return size_; }

  /// Runs one parallel region: every worker calls `function(argument, worker)`; returns when all
  /// have finished. Everything written before is visible to the workers, and theirs to the caller.
  void run(RegionFunction function, void *argument);

  /// The same for a callable `void(int32_t worker)`, which must not throw.
  template <typename Callable> void run(Callable &&callable) {
    using Target = std::remove_reference_t<Callable>;
    run([](void *target, int32_t worker) { (*static_cast<Target *>(target))(worker); },
        const_cast<void *>(static_cast<const void *>(std::addressof(callable))));
  }

  /// Inside a region: returns when every worker has called it. All of them must, equally often.
  void barrier(int32_t worker);

  /// barrier() for `llmir_step_args::barrier`; `team` is the WorkerTeam.
  static void barrierEntry(void *team, int32_t worker);

private:
  struct State;
  WorkerTeam(int32_t size, std::unique_ptr<State> state);

  int32_t size_;
  std::unique_ptr<State> state_;
};

/// The part of [0, count) that `worker` of `workers` owns, in multiples of `granule` (the last part
/// takes the remainder). The parts cover the range once, in order.
struct WorkRange {
  int64_t begin = 0;
  int64_t end = 0;
};
WorkRange splitEvenly(int64_t count, int64_t granule, int32_t worker, int32_t workers);

} // namespace llmir

#endif // LLMIR_DEVICE_WORKERTEAM_H
