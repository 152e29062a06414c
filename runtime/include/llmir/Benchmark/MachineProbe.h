// MachineProbe: how fast this machine reads memory, by working set, pages and threads, and how fast
// its arithmetic units are. Every other figure is quoted against these. It measures; it chooses
// nothing, and knows units by the features that they need, never by a processor's name.

#ifndef LLMIR_BENCHMARK_MACHINEPROBE_H
#define LLMIR_BENCHMARK_MACHINEPROBE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace llmir::benchmark {

/// The pages that a working set lies in. Huge ones are asked for; whether the system gives them is
/// for it to say.
enum class Pages { Small, Huge };

struct ProbeOptions {
  /// Bytes of the working sets, divided among the threads; see defaultWorkingSets().
  std::vector<int64_t> workingSets;
  /// Numbers of threads; each figure is measured with each of them.
  std::vector<int32_t> threads;
  /// Seconds for each figure: at least three rounds are taken.
  double secondsPerFigure = 0.15;
  bool memory = true;  ///< Measures bandwidth.
  bool compute = true; ///< Measures units.
  /// Called before each figure with what comes next.
  std::function<void(std::string_view what)> progress;
};

/// 16 KiB to 1 GiB, each twice the one before.
std::vector<int64_t> defaultWorkingSets();

/// 1, 2, 4, … up to the number of CPUs that this process may use, which is always the last.
std::vector<int32_t> defaultThreads();

/// What several rounds of a figure gave.
struct Rates {
  double best = 0;
  double median = 0;
  /// (largest - smallest) / median of the rounds.
  double spread = 0;

  static Rates of(std::vector<double> rounds);
};

/// Reading: gigabytes (1e9 bytes) per second of all threads together.
struct BandwidthFigure {
  int64_t bytes = 0;
  int32_t threads = 0;
  Pages pages = Pages::Huge;
  Rates gigabytesPerSecond;
};

/// Arithmetic of one unit: 1e9 operations per second of all threads together (a multiplication and
/// an addition are two), nothing where this host does not have it.
struct ComputeFigure {
  std::string unit;
  std::vector<std::string> features; ///< that it needs, by LLVM's names
  int32_t threads = 0;
  std::optional<Rates> gigaOperationsPerSecond;
};

struct MachineReport {
  std::string processor; ///< As the system calls it; for people.
  int32_t cpus = 0;      ///< That this process may use.
  int64_t memoryBytes = 0;
  std::string hugePages;          ///< The system's policy, or empty where it has none.
  std::vector<std::string> units; ///< Features of this host that a unit below needs.
  double stealShare = 0;          ///< Of the CPUs' time while it measured, taken by other guests.
  std::vector<BandwidthFigure> bandwidth;
  std::vector<ComputeFigure> compute;
};

/// Measures. InvalidArgument for a size or number that is not positive, ResourceExhausted when
/// there is no memory or a thread does not start.
StatusOr<MachineReport> probeMachine(const ProbeOptions &options);

} // namespace llmir::benchmark

#endif // LLMIR_BENCHMARK_MACHINEPROBE_H
