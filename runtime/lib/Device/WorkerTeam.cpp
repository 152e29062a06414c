// WorkerTeam: threads, epochs and futexes. Three kinds of waiting (for a region to start, for a
// region to end, at a barrier) share one Waitable: a 32-bit word that changes, and a count of those
// who sleep on it, so that nobody makes a system call to wake a spinner.

#include "llmir/Device/WorkerTeam.h"

#include "llmir/Device/CPUTopology.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <system_error>
#include <thread>

namespace llmir {

namespace {

inline void pauseBriefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("isb" ::: "memory");
#endif
}

/// A word to wait on, in a cache line of its own.
class alignas(64) Waitable {
public:
  uint32_t load() const { return word_.load(std::memory_order_acquire); }

  void add(uint32_t difference) { word_.fetch_add(difference, std::memory_order_seq_cst); }
  uint32_t decrement() { return word_.fetch_sub(1, std::memory_order_seq_cst) - 1; }
  void store(uint32_t value) { word_.store(value, std::memory_order_seq_cst); }

  /// Wakes those who sleep; the word must have been changed before.
  void wake() {
    if (sleepers_.load(std::memory_order_seq_cst) != 0)
      syscall(SYS_futex, &word_, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
  }

  /// Returns when `done(word)`; spins for `spins` pauses, then sleeps.
  template <typename Predicate> void wait(int64_t spins, Predicate done) {
    for (int64_t i = 0; i < spins; ++i) {
      if (done(load()))
        return;
      pauseBriefly();
    }
    // A sleeper announces itself before it looks again, and a waker looks for sleepers after it
    // changed the word: one of the two sees the other.
    sleepers_.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
      uint32_t seen = word_.load(std::memory_order_seq_cst);
      if (done(seen))
        break;
      syscall(SYS_futex, &word_, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
    }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
  }

private:
  static_assert(sizeof(std::atomic<uint32_t>) == 4 && std::atomic<uint32_t>::is_always_lock_free);
  std::atomic<uint32_t> word_{0};
  std::atomic<uint32_t> sleepers_{0};
};

/// How many pauses take `microseconds` here: on some processors a pause is 4 cycles, on others 140.
int64_t countPauses(int64_t microseconds) {
  using Clock = std::chrono::steady_clock;
  constexpr int64_t probe = 2000;
  double best = 1e9;
  for (int round = 0; round < 5; ++round) {
    auto start = Clock::now();
    for (int64_t i = 0; i < probe; ++i)
      pauseBriefly();
    best = std::min(best, std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  double pauses = double(probe) * double(microseconds) / std::max(best, 1e-3);
  return std::clamp<int64_t>(int64_t(pauses), 1, int64_t(1) << 40);
}

std::vector<int> readAffinity() {
  std::vector<int> cpus;
  // More CPUs than cpu_set_t has are rare; the call then says EINVAL and the set is made larger.
  for (int limit = CPU_SETSIZE; limit <= (1 << 20); limit *= 2) {
    cpu_set_t *set = CPU_ALLOC(limit);
    size_t bytes = CPU_ALLOC_SIZE(limit);
    CPU_ZERO_S(bytes, set);
    int result = set ? sched_getaffinity(0, bytes, set) : -1;
    int error = errno;
    for (int cpu = 0; result == 0 && cpu < limit; ++cpu)
      if (CPU_ISSET_S(cpu, bytes, set))
        cpus.push_back(cpu);
    CPU_FREE(set);
    if (result == 0 || error != EINVAL)
      break;
  }
  if (cpus.empty())
    cpus.push_back(0);
  return cpus;
}

void setAffinity(const std::vector<int> &cpus) {
  int limit = std::max(CPU_SETSIZE, *std::max_element(cpus.begin(), cpus.end()) + 1);
  cpu_set_t *set = CPU_ALLOC(limit);
  if (!set)
    return;
  size_t bytes = CPU_ALLOC_SIZE(limit);
  CPU_ZERO_S(bytes, set);
  for (int cpu : cpus)
    CPU_SET_S(cpu, bytes, set);
  // A refusal (a CPU went offline) costs speed, not correctness.
  pthread_setaffinity_np(pthread_self(), bytes, set);
  CPU_FREE(set);
}

} // namespace

const std::vector<int> &availableCPUs() {
  static const std::vector<int> cpus = readAffinity();
  return cpus;
}

struct WorkerTeam::State {
  Waitable start;   ///< Counts regions.
  Waitable pending; ///< Workers other than the caller that have not finished the region.
  Waitable epoch;   ///< Counts barriers.
  alignas(64) std::atomic<uint32_t> arrived{0};
  alignas(64) RegionFunction function = nullptr;
  void *argument = nullptr;
  bool stopping = false;
  int64_t spins = 1;
  std::vector<int> cpus; ///< Of the workers, when they are pinned.
  std::thread::id owner;
  std::vector<int> ownerCPUs;
  std::vector<std::thread> threads;

  void serve(int32_t worker);
};

void WorkerTeam::State::serve(int32_t worker) {
  // Unpinned threads get the whole set: their creator may be pinned by another team.
  setAffinity(cpus.empty() ? availableCPUs() : std::vector<int>{cpus[static_cast<size_t>(worker)]});
  for (uint32_t seen = 0;;) {
    start.wait(spins, [seen](uint32_t word) { return word != seen; });
    ++seen;
    if (stopping)
      return;
    function(argument, worker);
    if (pending.decrement() == 0)
      pending.wake();
  }
}

WorkerTeam::WorkerTeam(int32_t size, std::unique_ptr<State> state)
    : size_(size), state_(std::move(state)) {}

StatusOr<std::unique_ptr<WorkerTeam>> WorkerTeam::create(const WorkerTeamOptions &options) {
  const std::vector<int> &cpus = availableCPUs();
  if (options.workers < 0 || options.workers > maxWorkers)
    return invalidArgument("expected 0 to " + std::to_string(maxWorkers) + " workers, but got " +
                           std::to_string(options.workers));
  if (options.spinMicroseconds < 0)
    return invalidArgument("expected a spin time of 0 or more microseconds, but got " +
                           std::to_string(options.spinMicroseconds));
  int32_t available = static_cast<int32_t>(std::min<size_t>(cpus.size(), maxWorkers));
  int32_t size = options.workers == 0 ? available : options.workers;
  bool oversubscribed = size > available;

  auto state = std::make_unique<State>();
  state->spins = countPauses(oversubscribed ? 1 : options.spinMicroseconds);
  if (options.pinning == Pinning::OneCPUEach && !oversubscribed)
    state->cpus = chooseCPUs(cpus, CPUTopology::read(), size);
  state->owner = std::this_thread::get_id();
  std::unique_ptr<WorkerTeam> team(new WorkerTeam(size, std::move(state)));

  State &shared = *team->state_;
  shared.threads.reserve(static_cast<size_t>(size - 1));
  for (int32_t worker = 1; worker < size; ++worker) {
    // The standard library reports a thread that does not start by an exception; it ends here.
    try {
      shared.threads.emplace_back(&State::serve, &shared, worker);
    } catch (const std::system_error &error) {
      return resourceExhausted("cannot start worker " + std::to_string(worker) + " of " +
                               std::to_string(size) + ": " + error.what());
    }
  }
  if (!shared.cpus.empty()) {
    shared.ownerCPUs = readAffinity();
    setAffinity({shared.cpus[0]});
  }
  // An empty region: afterwards every thread has started and found its CPU.
  team->run([](int32_t) {});
  return team;
}

WorkerTeam::~WorkerTeam() {
  state_->stopping = true;
  state_->start.add(1);
  state_->start.wake();
  for (std::thread &thread : state_->threads)
    thread.join();
  if (!state_->ownerCPUs.empty() && state_->owner == std::this_thread::get_id())
    setAffinity(state_->ownerCPUs);
}

void WorkerTeam::run(RegionFunction function, void *argument) {
  State &state = *state_;
  if (size_ == 1) {
    function(argument, 0);
    return;
  }
  state.function = function;
  state.argument = argument;
  state.pending.store(static_cast<uint32_t>(size_ - 1));
  state.start.add(1);
  state.start.wake();
  function(argument, 0);
  state.pending.wait(state.spins, [](uint32_t word) { return word == 0; });
}

void WorkerTeam::barrier(int32_t) {
  State &state = *state_;
  if (size_ == 1)
    return;
  // Read before arriving: after the last arrival the epoch may change at any moment.
  uint32_t epoch = state.epoch.load();
  if (state.arrived.fetch_add(1, std::memory_order_acq_rel) + 1 == static_cast<uint32_t>(size_)) {
    state.arrived.store(0, std::memory_order_relaxed);
    state.epoch.add(1);
    state.epoch.wake();
    return;
  }
  state.epoch.wait(state.spins, [epoch](uint32_t word) { return word != epoch; });
}

void WorkerTeam::barrierEntry(void *team, int32_t worker) {
  static_cast<WorkerTeam *>(team)->barrier(worker);
}

WorkRange splitEvenly(int64_t count, int64_t granule, int32_t worker, int32_t workers) {
  int64_t granules = (count + granule - 1) / granule;
  auto boundary = [&](int64_t index) {
    // Quotient and remainder apart, so that the product cannot overflow.
    int64_t share = granules / workers * index + granules % workers * index / workers;
    return std::min(count, share * granule);
  };
  return {boundary(worker), boundary(int64_t(worker) + 1)};
}

} // namespace llmir
