// StepProfile: where the time of a compiled model's step goes, call by call, against what each call
// would take if it only read its bytes or only did its arithmetic, both probed in the same run. The
// model must have been compiled with --profile.

#ifndef LLMIR_BENCHMARK_STEPPROFILE_H
#define LLMIR_BENCHMARK_STEPPROFILE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace llmir::benchmark {

/// The step that is profiled: the same one again and again, over a cache that was filled before.
struct ProfileOptions {
  std::string model;     ///< Path of the artifact.
  int32_t threads = 1;   ///< Workers.
  int64_t sequences = 1; ///< In the step.
  int64_t tokens = 1;    ///< Of each sequence in the step.
  int64_t context = 256; ///< Tokens of each sequence in the cache before it.
  bool allRows = false;  ///< Asks for the logits of every token, not of each sequence's last.
  double seconds = 1.5;  ///< For the steps; filling the cache and probing come to it.
  /// Called with what comes next.
  std::function<void(std::string_view what)> progress;
};

/// A call of the plan, in one step: all of its repetitions together.
struct CallProfile {
  std::string name;
  int64_t repetitions = 0;
  std::string unit; ///< The unit whose peak counts, as the probe calls it; empty: none is known.
  double bytes = 0;
  double operations = 0;
  double workMicroseconds = 0; ///< Mean of the workers; median of the steps.
  double waitMicroseconds = 0; ///< In the barrier behind it.
  /// The larger of reading the bytes at the bandwidth and of the operations at the unit's peak.
  double floorMicroseconds = 0;
};

/// One profile.
struct StepProfile {
  std::string model, processor;
  int32_t threads = 0;
  int64_t sequences = 0, tokens = 0, context = 0, rows = 0;
  double bandwidth = 0; ///< GB/s over a working set as large as the weights: before and behind.
  double bandwidthDrift = 0;    ///< Between the two, as a share of their mean.
  double stealShare = 0;        ///< Of the CPUs' time while probing, taken by other guests.
  double stepMicroseconds = 0;  ///< Median of steps without clocks.
  double clockMicroseconds = 0; ///< What the clocks add to it.
  int64_t steps = 0;            ///< Of each kind.
  std::vector<CallProfile> calls;

  double floorMicroseconds() const;
};

/// Measures. InvalidArgument for numbers out of range; FailedPrecondition for a model that was
/// compiled without --profile; what loading the model and running a step give.
StatusOr<StepProfile> profileStep(const ProfileOptions &options);

/// A table in Markdown with one row for each call, and what it is of; and a JSON array of objects
/// with the names of StepProfile in snake case.
std::string toMarkdown(const StepProfile &profile);
std::string toJson(const std::vector<StepProfile> &profiles);

} // namespace llmir::benchmark

#endif // LLMIR_BENCHMARK_STEPPROFILE_H
