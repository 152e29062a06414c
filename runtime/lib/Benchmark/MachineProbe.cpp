// A figure is the best and the median of several rounds, each long enough that starting the workers
// does not count. What the machine is, is read from the system.

#include "llmir/Benchmark/MachineProbe.h"

#include "ComputeUnits.h"
#include "MemoryReader.h"

#include "llmir/Benchmark/ProbeReport.h"
#include "llmir/Device/CPUFeatures.h"
#include "llmir/Device/HostMemory.h"
#include "llmir/Device/WorkerTeam.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <sstream>
#include <sys/mman.h>
#include <unistd.h>

namespace llmir::benchmark {

namespace {

using Clock = std::chrono::steady_clock;

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

constexpr int kMinRounds = 3;

/// Rates of `work(count)`, which does `perCount` units of something `count` times: the count grows
/// until a round takes a tenth of the time for the figure, then rounds are taken until it is over.
template <typename Work> Rates measureRates(double seconds, double perCount, Work &&work) {
  auto timed = [&](int64_t count) {
    auto start = Clock::now();
    work(count);
    return std::max(secondsSince(start), 1e-9);
  };
  int64_t count = 1;
  while (true) {
    double time = timed(count);
    if (time >= seconds / 20)
      break;
    double factor = std::clamp(seconds / 10 / time, 2.0, 64.0);
    count = static_cast<int64_t>(static_cast<double>(count) * factor);
  }
  std::vector<double> rates;
  auto start = Clock::now();
  while (rates.size() < kMinRounds || secondsSince(start) < seconds)
    rates.push_back(perCount * static_cast<double>(count) / timed(count));
  return Rates::of(std::move(rates));
}

StatusOr<BandwidthFigure> measureBandwidth(WorkerTeam &team, int64_t bytes, Pages pages,
                                           double seconds) {
  int64_t granule = kReadGranule * team.size();
  int64_t rounded = (bytes + granule - 1) / granule * granule;
  StatusOr<HostMemory> memory = HostMemory::allocate(static_cast<size_t>(rounded));
  if (!memory)
    return memory.status().withContext("working set of " + formatBytes(bytes));
  // The advice of HostMemory is for huge pages; a system without them knows neither.
  if (pages == Pages::Small)
    (void)madvise(memory->data(), memory->size(), MADV_NOHUGEPAGE);
  std::atomic<uint64_t> sink{0};
  auto share = [&](int32_t worker) {
    return splitEvenly(rounded, kReadGranule, worker, team.size());
  };
  team.run([&](int32_t worker) { // first touch by the reader
    WorkRange range = share(worker);
    std::memset(memory->data() + range.begin, worker + 1,
                static_cast<size_t>(range.end - range.begin));
  });
  Rates rates = measureRates(seconds, static_cast<double>(rounded) / 1e9, [&](int64_t count) {
    team.run([&](int32_t worker) {
      WorkRange range = share(worker);
      uint64_t sum = 0;
      for (int64_t pass = 0; pass < count; ++pass)
        sum ^= readMemory(memory->data() + range.begin, range.end - range.begin);
      sink.fetch_xor(sum, std::memory_order_relaxed);
    });
  });
  return BandwidthFigure{bytes, team.size(), pages, rates};
}

ComputeFigure measureUnit(WorkerTeam &team, const ComputeUnit &unit, double seconds) {
  ComputeFigure figure{unit.name, unit.features, team.size(), std::nullopt};
  if (CPUFeatures::host().firstMissing(unit.features) || !enableCPUFeatures(unit.features))
    return figure;
  double perCount = 1000.0 * static_cast<double>(unit.operationsPerIteration) * team.size() / 1e9;
  figure.gigaOperationsPerSecond = measureRates(seconds, perCount, [&](int64_t count) {
    team.run([&](int32_t) { unit.run(1000 * count); });
  });
  return figure;
}

std::string firstLine(const char *path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string processorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.rfind("model name", 0) == 0)
      if (size_t colon = line.find(": "); colon != std::string::npos)
        return line.substr(colon + 2);
  return "unknown";
}

/// All of the CPUs' time so far and what of it other guests of the host had, in ticks.
struct CPUTime {
  double all = 0;
  double stolen = 0;

  static CPUTime now() {
    std::istringstream fields(firstLine("/proc/stat"));
    std::string name;
    fields >> name;
    CPUTime time;
    double ticks;
    // user, nice, system, idle, iowait, irq, softirq, steal; guests' time is in user's.
    for (int i = 0; i < 8 && fields >> ticks; ++i) {
      time.all += ticks;
      if (i == 7)
        time.stolen = ticks;
    }
    return time;
  }
};

Status checkOptions(const ProbeOptions &options) {
  for (int64_t bytes : options.workingSets)
    if (bytes < 1)
      return invalidArgument("expected a working set of at least a byte, but got " +
                             std::to_string(bytes));
  for (int32_t threads : options.threads)
    if (threads < 1)
      return invalidArgument("expected at least one thread, but got " + std::to_string(threads));
  if (!(options.secondsPerFigure > 0))
    return invalidArgument("expected a positive time for each figure, but got " +
                           std::to_string(options.secondsPerFigure) + " s");
  return Status::ok();
}

Status measureWith(WorkerTeam &team, const ProbeOptions &options, MachineReport &report) {
  auto announce = [&](const std::string &what) {
    if (options.progress)
      options.progress(what + ", " + std::to_string(team.size()) + " threads");
  };
  for (Pages pages : {Pages::Small, Pages::Huge})
    for (int64_t bytes : options.workingSets) {
      if (!options.memory)
        break;
      announce("reading " + formatBytes(bytes));
      StatusOr<BandwidthFigure> figure =
          measureBandwidth(team, bytes, pages, options.secondsPerFigure);
      if (!figure)
        return figure.status();
      report.bandwidth.push_back(*figure);
    }
  for (const ComputeUnit &unit : computeUnits()) {
    if (!options.compute)
      break;
    announce(unit.name);
    report.compute.push_back(measureUnit(team, unit, options.secondsPerFigure));
  }
  return Status::ok();
}

MachineReport describeMachine() {
  MachineReport report;
  report.processor = processorName();
  report.cpus = static_cast<int32_t>(availableCPUs().size());
  report.memoryBytes = int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE);
  report.hugePages = firstLine("/sys/kernel/mm/transparent_hugepage/enabled");
  for (const ComputeUnit &unit : computeUnits())
    for (const std::string &feature : unit.features)
      if (CPUFeatures::host().has(feature) &&
          std::find(report.units.begin(), report.units.end(), feature) == report.units.end())
        report.units.push_back(feature);
  return report;
}

} // namespace

std::vector<int64_t> defaultWorkingSets() {
  std::vector<int64_t> sizes;
  for (int64_t bytes = int64_t{16} << 10; bytes <= int64_t{1} << 30; bytes *= 2)
    sizes.push_back(bytes);
  return sizes;
}

std::vector<int32_t> defaultThreads() {
  auto cpus = static_cast<int32_t>(availableCPUs().size());
  std::vector<int32_t> threads;
  for (int32_t count = 1; count < cpus; count *= 2)
    threads.push_back(count);
  threads.push_back(cpus);
  return threads;
}

Rates Rates::of(std::vector<double> rounds) {
  if (rounds.empty())
    return {};
  std::sort(rounds.begin(), rounds.end());
  size_t middle = rounds.size() / 2;
  double median = rounds.size() % 2 ? rounds[middle] : (rounds[middle - 1] + rounds[middle]) / 2;
  return {rounds.back(), median, median > 0 ? (rounds.back() - rounds.front()) / median : 0};
}

StatusOr<MachineReport> probeMachine(const ProbeOptions &options) {
  LLMIR_RETURN_IF_ERROR(checkOptions(options));
  // Threads inherit the permission to use tiles, so it is asked for before any is started; a
  // refusal shows as a unit that is not there.
  for (const ComputeUnit &unit : computeUnits())
    if (!CPUFeatures::host().firstMissing(unit.features))
      (void)enableCPUFeatures(unit.features);
  MachineReport report = describeMachine();
  CPUTime before = CPUTime::now();
  for (int32_t threads : options.threads) {
    StatusOr<std::unique_ptr<WorkerTeam>> team = WorkerTeam::create({.workers = threads});
    if (!team)
      return team.status();
    LLMIR_RETURN_IF_ERROR(measureWith(**team, options, report));
  }
  CPUTime after = CPUTime::now();
  if (after.all > before.all)
    report.stealShare = (after.stolen - before.stolen) / (after.all - before.all);
  return report;
}

} // namespace llmir::benchmark
