// RunReport: the figures of a run that `--stats` prints, as a record with two forms. It measures
// nothing.

#ifndef LLMIR_COMMANDLINE_RUNREPORT_H
#define LLMIR_COMMANDLINE_RUNREPORT_H

#include "llmir/CommandLine/Perplexity.h"
#include "llmir/Engine/GenerationRequest.h"

#include <cstdint>
#include <optional>
#include <string>

namespace llmir {

/// The figures of one run. Rates are derived from them when they are printed.
struct RunReport {
  std::string model; ///< Its name in the manifest.
  GenerationStatistics generation;
  double loadSeconds = 0.0;
  int32_t threads = 0;
  std::string level; ///< Of the version that runs; empty when the model has but one.
  /// Weight bytes that a step of one token reads, as the compiler counted them.
  int64_t weightBytesPerToken = 0;
  /// Bytes of keys and values of one token in all caches.
  int64_t cacheBytesPerToken = 0;
  /// Gigabytes (1e9 bytes) per second that the same threads read just before; absent when not
  /// measured.
  std::optional<double> readBandwidth;
  std::optional<PerplexityResult> perplexity;
  /// Prompt tokens that came from the prefix cache; absent without one.
  std::optional<int64_t> reusedTokens;
  std::optional<uint64_t> seed; ///< Where sampling drew numbers.

  /// Bytes that decoding read per token: weights once a step, and each sequence's cache. 0 without
  /// decoded tokens.
  double bytesPerToken() const;
  /// reusedTokens as a share of all prompt tokens; absent without a prefix cache.
  std::optional<double> prefixHitRate() const;
  /// bytesPerToken() per second of decoding, as a share of readBandwidth.
  std::optional<double> bandwidthShare() const;
};

/// Several lines for people, ending in a newline.
std::string formatReport(const RunReport &report);

/// One line of JSON, ending in a newline.
std::string formatReportAsJSON(const RunReport &report);

} // namespace llmir

#endif // LLMIR_COMMANDLINE_RUNREPORT_H
