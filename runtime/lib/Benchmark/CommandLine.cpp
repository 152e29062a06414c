// Options of llmir-benchmark, the probe behind --probe and the profiles behind --profile.

#include "llmir/Benchmark/CommandLine.h"

#include "llmir/Benchmark/MachineProbe.h"
#include "llmir/Benchmark/ProbeReport.h"
#include "llmir/Benchmark/StepProfile.h"

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
    "  llmir compile model.gguf --profile -o model.llmir    then, where a step's time goes:\n"
    "  llmir-benchmark --profile model.llmir                one token after 256\n"
    "  llmir-benchmark --profile model.llmir --tokens 512 --context 0\n"
    "                                                       a prompt\n"
    "  llmir-benchmark --profile model.llmir --sequences 16 --threads 2\n"
    "                                                       a batch\n"
    "\n"
    "A profile's floor is what a call would take if it only read its bytes at the bandwidth, or "
    "only\n"
    "multiplied at the peak of its unit, both probed first; activations count no bytes.\n"
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

int print(const std::string &text) {
  bool written =
      std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  return written ? 0 : fail(Status(StatusCode::Internal, "standard output: cannot write"));
}

/// What progress is written by; nothing where nobody looks.
std::function<void(std::string_view)> progressLine() {
  if (!isatty(STDERR_FILENO))
    return {};
  return [](std::string_view what) {
    std::fprintf(stderr, "\r\033[K%.*s", static_cast<int>(what.size()), what.data());
  };
}

void endProgressLine() {
  if (isatty(STDERR_FILENO))
    std::fputs("\r\033[K", stderr);
}

int runProbe(ProbeOptions options, const std::vector<std::string> &sizes, bool json) {
  for (const std::string &text : sizes) {
    StatusOr<int64_t> bytes = parseBytes(text);
    if (!bytes)
      return fail(bytes.status());
    options.workingSets.push_back(*bytes);
  }
  if (sizes.empty())
    options.workingSets = defaultWorkingSets();
  options.progress = progressLine();
  StatusOr<MachineReport> report = probeMachine(options);
  endProgressLine();
  if (!report)
    return fail(report.status());
  return print(json ? toJson(*report) : toMarkdown(*report));
}

int runProfiles(ProfileOptions options, const std::vector<int32_t> &threads, bool json) {
  std::vector<StepProfile> profiles;
  std::string text;
  options.progress = progressLine();
  for (int32_t count : threads) {
    options.threads = count;
    StatusOr<StepProfile> profile = profileStep(options);
    endProgressLine();
    if (!profile)
      return fail(profile.status());
    text += (text.empty() ? "" : "\n") + toMarkdown(*profile);
    profiles.push_back(*std::move(profile));
  }
  return print(json ? toJson(profiles) : text);
}

} // namespace

int runBenchmark(int argc, char **argv) {
  CLI::App app(
      "How fast this machine is (memory by working set, arithmetic by unit), and where the "
      "time of a compiled model goes.",
      "llmir-benchmark");
  app.footer(kExamples);
  bool probe = false, json = false, noMemory = false, noCompute = false;
  std::vector<std::string> sizes;
  ProbeOptions options;
  ProfileOptions profile;
  CLI::Option *probing = app.add_flag(
      "--probe", probe, "Measure read bandwidth and the peaks of the arithmetic units");
  CLI::Option *profiling =
      app.add_option("--profile", profile.model,
                     "Show where the time of a step goes, call by call; MODEL was compiled with "
                     "--profile")
          ->type_name("MODEL")
          ->excludes(probing);
  app.add_option("--sizes", sizes, "Working sets of all threads together (default: 16K to 1G)")
      ->delimiter(',')
      ->needs(probing);
  app.add_option("--threads", options.threads, "Numbers of threads (default: 1, 2, … all CPUs)")
      ->delimiter(',');
  app.add_option("--seconds", options.secondsPerFigure,
                 "Time for each figure; ten times that for the steps of a profile")
      ->capture_default_str();
  app.add_flag("--no-memory", noMemory, "Leave bandwidth out")->needs(probing);
  app.add_flag("--no-compute", noCompute, "Leave the units out")->needs(probing);
  app.add_option("--sequences", profile.sequences, "With --profile: sequences in the step")
      ->capture_default_str()
      ->needs(profiling);
  app.add_option("--tokens", profile.tokens, "With --profile: tokens of each in the step")
      ->capture_default_str()
      ->needs(profiling);
  app.add_option("--context", profile.context, "With --profile: tokens of each before the step")
      ->capture_default_str()
      ->needs(profiling);
  app.add_flag("--all-rows", profile.allRows,
               "With --profile: logits of every token, not of each sequence's last")
      ->needs(profiling);
  app.add_flag("--json", json, "Print JSON instead of tables");
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success &success) {
    return app.exit(success);
  } catch (const CLI::ParseError &error) {
    return fail(invalidArgument(error.what()));
  }
  if (!probe && profile.model.empty())
    return fail(invalidArgument("expected --probe or --profile MODEL; --help explains them"));
  if (options.threads.empty())
    options.threads = defaultThreads();
  if (!probe) {
    profile.seconds = 10 * options.secondsPerFigure;
    return runProfiles(profile, options.threads, json);
  }
  options.memory = !noMemory;
  options.compute = !noCompute;
  return runProbe(options, sizes, json);
}

} // namespace llmir::benchmark
