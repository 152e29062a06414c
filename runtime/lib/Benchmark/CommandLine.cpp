// Options of llmir-benchmark, and the probe behind --probe.

#include "llmir/Benchmark/CommandLine.h"

#include "llmir/Benchmark/MachineProbe.h"
#include "llmir/Benchmark/ProbeReport.h"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <unistd.h>

namespace llmir::benchmark {

namespace {

constexpr const char *kExamples =
    "Every figure of a model is quoted against what the machine can do: decoding against the\n"
    "bandwidth of a working set as large as the weights, prefill against the peak of the unit "
    "that\n"
    "multiplies. Figures of two machines, or of one machine on two days, do not compare; probe in\n"
    "the same run.\n"
    "\n"
    "Examples:\n"
    "  llmir-benchmark --probe                              all sizes, pages, threads and units\n"
    "  llmir-benchmark --probe --sizes 98M --threads 2      the limit of a model of 98 MiB\n"
    "  llmir-benchmark --probe --no-memory                  the units alone\n"
    "  llmir-benchmark --probe --json > probe.json          for programs\n"
    "\n"
    "A working set that a cache holds shows the cache; from the sizes where the figures stay, "
    "they\n"
    "are memory's. A unit that the processor, the system or this build does not have is 'not on\n"
    "this host'. Steal is time that other guests of the host took: above 2 %, run it again.\n"
    "The exit code is 0, or 1 after an error, 2 for wrong usage.";

int fail(const Status &status) {
  std::fprintf(stderr, "llmir-benchmark: error: %s\n", status.message().c_str());
  return status.code() == StatusCode::InvalidArgument ? 2 : 1;
}

} // namespace

int runBenchmark(int argc, char **argv) {
  CLI::App app("How fast this machine is: memory by working set, arithmetic by unit.",
               "llmir-benchmark");
  app.footer(kExamples);
  bool probe = false, json = false, noMemory = false, noCompute = false;
  std::vector<std::string> sizes;
  ProbeOptions options;
  app.add_flag("--probe", probe, "Measure read bandwidth and the peaks of the arithmetic units");
  app.add_option("--sizes", sizes, "Working sets of all threads together (default: 16K to 1G)")
      ->delimiter(',');
  app.add_option("--threads", options.threads, "Numbers of threads (default: 1, 2, … all CPUs)")
      ->delimiter(',');
  app.add_option("--seconds", options.secondsPerFigure, "Time for each figure")
      ->capture_default_str();
  app.add_flag("--no-memory", noMemory, "Leave bandwidth out");
  app.add_flag("--no-compute", noCompute, "Leave the units out");
  app.add_flag("--json", json, "Print JSON instead of tables");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    return app.exit(success);
  } catch (const CLI::ParseError &error) {
    return fail(invalidArgument(error.what()));
  }
  if (!probe)
    return fail(invalidArgument("expected --probe; --help explains it"));
  options.memory = !noMemory;
  options.compute = !noCompute;
  for (const std::string &text : sizes) {
    StatusOr<int64_t> bytes = parseBytes(text);
    if (!bytes)
      return fail(bytes.status());
    options.workingSets.push_back(*bytes);
  }
  if (sizes.empty())
    options.workingSets = defaultWorkingSets();
  if (options.threads.empty())
    options.threads = defaultThreads();
  bool showsProgress = isatty(STDERR_FILENO);
  if (showsProgress)
    options.progress = [](std::string_view what) {
      std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(what.size()), what.data());
    };
  StatusOr<MachineReport> report = probeMachine(options);
  if (showsProgress)
    std::fputs("\r\033[K", stderr);
  if (!report)
    return fail(report.status());
  std::string text = json ? toJson(*report) : toMarkdown(*report);
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? 0 : fail(Status(StatusCode::Internal, "standard output: cannot write"));
}

} // namespace llmir::benchmark
