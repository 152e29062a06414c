// Tables and JSON of step profiles.

#include "ReportText.h"

#include "llmir/Benchmark/StepProfile.h"

#include <nlohmann/json.hpp>

namespace llmir::benchmark {

namespace {

/// A share in percent; nothing where there is no whole.
std::string share(double part, double whole) {
  return whole > 0 ? format("%.0f %%", 100 * part / whole) : "";
}

} // namespace

std::string toMarkdown(const StepProfile &profile) {
  std::string text =
      profile.model + " on " + profile.processor + ", " + counted(profile.threads, "thread") +
      ": " + counted(profile.sequences, "sequence") + ", " + counted(profile.tokens, "token") +
      " each after " + std::to_string(profile.context) + ", " + counted(profile.rows, "row") +
      " of logits. Reading " + format("%.1f", profile.bandwidth) + " GB/s (moved by " +
      format("%.0f", 100 * profile.bandwidthDrift) + " %), steal " +
      format("%.1f", 100 * profile.stealShare) + " %. Medians of " + std::to_string(profile.steps) +
      " steps: " + format("%.0f", profile.stepMicroseconds) + " µs, and " +
      format("%.0f", profile.clockMicroseconds) + " µs for the clocks.\n\n" +
      "| call | times | MB | Mop | unit | working, µs | waiting, µs | of the step | "
      "floor, µs | share of its floor |\n"
      "|---|---|---|---|---|---|---|---|---|---|\n";
  double work = 0, wait = 0, bytes = 0, operations = 0;
  double step = profile.stepMicroseconds + profile.clockMicroseconds;
  auto addRow = [&](const std::string &head, const CallProfile &call) {
    double time = call.workMicroseconds + call.waitMicroseconds;
    text += head + format(" %.2f |", call.bytes / 1e6) + format(" %.1f |", call.operations / 1e6) +
            " " + call.unit + " |" + format(" %.1f |", call.workMicroseconds) +
            format(" %.1f |", call.waitMicroseconds) + " " + share(time, step) + " |" +
            format(" %.1f |", call.floorMicroseconds) + " " + share(call.floorMicroseconds, time) +
            " |\n";
  };
  for (const CallProfile &call : profile.calls) {
    addRow("| `" + call.name + "` | " + std::to_string(call.repetitions) + " |", call);
    work += call.workMicroseconds;
    wait += call.waitMicroseconds;
    bytes += call.bytes;
    operations += call.operations;
  }
  CallProfile sum{"", 0, "", bytes, operations, work, wait, profile.floorMicroseconds()};
  addRow("| all calls | |", sum);
  return text;
}

std::string toJson(const std::vector<StepProfile> &profiles) {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const StepProfile &profile : profiles) {
    nlohmann::ordered_json entry = {{"model", profile.model},
                                    {"processor", profile.processor},
                                    {"threads", profile.threads},
                                    {"sequences", profile.sequences},
                                    {"tokens", profile.tokens},
                                    {"context", profile.context},
                                    {"rows", profile.rows},
                                    {"bandwidth", profile.bandwidth},
                                    {"bandwidth_drift", profile.bandwidthDrift},
                                    {"steal_share", profile.stealShare},
                                    {"step_microseconds", profile.stepMicroseconds},
                                    {"clock_microseconds", profile.clockMicroseconds},
                                    {"steps", profile.steps}};
    entry["calls"] = nlohmann::ordered_json::array();
    for (const CallProfile &call : profile.calls)
      entry["calls"].push_back({{"name", call.name},
                                {"repetitions", call.repetitions},
                                {"unit", call.unit},
                                {"bytes", call.bytes},
                                {"operations", call.operations},
                                {"work_microseconds", call.workMicroseconds},
                                {"wait_microseconds", call.waitMicroseconds},
                                {"floor_microseconds", call.floorMicroseconds}});
    json.push_back(std::move(entry));
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace llmir::benchmark
