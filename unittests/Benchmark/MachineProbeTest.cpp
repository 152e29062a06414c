// The arithmetic of the probe, and that it measures what it was asked for. How fast a machine is,
// no test says.

#include "llmir/Benchmark/MachineProbe.h"

#include "llmir/Device/WorkerTeam.h"

#include <gtest/gtest.h>

using namespace llmir;
using namespace llmir::benchmark;

TEST(MachineProbeTest, SummarisesRounds) {
  Rates odd = Rates::of({4, 1, 2});
  EXPECT_EQ(odd.best, 4);
  EXPECT_EQ(odd.median, 2);
  EXPECT_EQ(odd.spread, 1.5);
  Rates even = Rates::of({4, 2, 3, 1});
  EXPECT_EQ(even.median, 2.5);
  EXPECT_EQ(even.spread, 1.2);
  Rates one = Rates::of({7});
  EXPECT_EQ(one.best, 7);
  EXPECT_EQ(one.median, 7);
  EXPECT_EQ(one.spread, 0);
  EXPECT_EQ(Rates::of({}).best, 0);
  EXPECT_EQ(Rates::of({0, 0}).spread, 0);
}

TEST(MachineProbeTest, GoesFromTheFirstCacheToMemory) {
  std::vector<int64_t> sizes = defaultWorkingSets();
  EXPECT_EQ(sizes.front(), 16 << 10);
  EXPECT_EQ(sizes.back(), 1 << 30);
  EXPECT_EQ(sizes.size(), 17u);
  for (size_t i = 1; i < sizes.size(); ++i)
    EXPECT_EQ(sizes[i], 2 * sizes[i - 1]);
  std::vector<int32_t> threads = defaultThreads();
  EXPECT_EQ(threads.front(), 1);
  EXPECT_EQ(threads.back(), static_cast<int32_t>(availableCPUs().size()));
  for (size_t i = 1; i < threads.size(); ++i)
    EXPECT_GT(threads[i], threads[i - 1]);
}

TEST(MachineProbeTest, MeasuresWhatItIsAskedFor) {
  ProbeOptions options;
  options.workingSets = {1, 5000}; // neither is a multiple of anything
  options.threads = {1, 3};        // more than there may be CPUs
  options.secondsPerFigure = 1e-3;
  std::vector<std::string> announced;
  options.progress = [&](std::string_view what) { announced.emplace_back(what); };
  StatusOr<MachineReport> report = probeMachine(options);
  ASSERT_TRUE(report.isOk()) << report.status().message();
  ASSERT_EQ(report->bandwidth.size(), 8u);
  for (const BandwidthFigure &figure : report->bandwidth) {
    EXPECT_TRUE(figure.bytes == 1 || figure.bytes == 5000);
    EXPECT_GT(figure.gigabytesPerSecond.median, 0);
    EXPECT_GE(figure.gigabytesPerSecond.best, figure.gigabytesPerSecond.median);
  }
  EXPECT_EQ(report->bandwidth[0].pages, Pages::Small);
  EXPECT_EQ(report->bandwidth[2].pages, Pages::Huge);
  EXPECT_EQ(report->bandwidth[4].threads, 3);
  EXPECT_EQ(announced.size(), report->bandwidth.size() + report->compute.size());
  EXPECT_EQ(announced.front(), "reading 1 bytes, 1 threads");
  for (const ComputeFigure &figure : report->compute)
    if (figure.gigaOperationsPerSecond)
      EXPECT_GT(figure.gigaOperationsPerSecond->best, 0) << figure.unit;
  EXPECT_GE(report->stealShare, 0);
  EXPECT_LE(report->stealShare, 1);
  EXPECT_GT(report->memoryBytes, 0);
  EXPECT_FALSE(report->processor.empty());
}

TEST(MachineProbeTest, LeavesOut) {
  ProbeOptions options;
  options.workingSets = {4096};
  options.threads = {1};
  options.secondsPerFigure = 1e-3;
  options.memory = false;
  options.compute = false;
  StatusOr<MachineReport> report = probeMachine(options);
  ASSERT_TRUE(report.isOk());
  EXPECT_TRUE(report->bandwidth.empty());
  EXPECT_TRUE(report->compute.empty());
}

TEST(MachineProbeTest, RefusesNonsense) {
  auto messageOf = [](const ProbeOptions &options) {
    StatusOr<MachineReport> report = probeMachine(options);
    EXPECT_FALSE(report.isOk());
    EXPECT_EQ(report.status().code(), StatusCode::InvalidArgument);
    return report.status().message();
  };
  ProbeOptions options;
  options.workingSets = {0};
  EXPECT_EQ(messageOf(options), "expected a working set of at least a byte, but got 0");
  options.workingSets = {};
  options.threads = {-2};
  EXPECT_EQ(messageOf(options), "expected at least one thread, but got -2");
  options.threads = {};
  options.secondsPerFigure = 0;
  EXPECT_EQ(messageOf(options), "expected a positive time for each figure, but got 0.000000 s");
}
