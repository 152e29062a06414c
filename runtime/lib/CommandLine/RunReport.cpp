// Derives rates and prints them.

#include "llmir/CommandLine/RunReport.h"

#include <cinttypes>
#include <cstdarg>
#include <cstdio>
#include <nlohmann/json.hpp>

namespace llmir {

static double rate(double amount, double seconds) { return seconds > 0.0 ? amount / seconds : 0.0; }

double RunReport::bytesPerToken() const {
  if (generation.decodeTokens == 0)
    return 0.0;
  double weightBytes = static_cast<double>(weightBytesPerToken) * generation.decodeSteps;
  double cacheBytes =
      static_cast<double>(cacheBytesPerToken) * static_cast<double>(generation.decodeContextTokens);
  return (weightBytes + cacheBytes) / static_cast<double>(generation.decodeTokens);
}

std::optional<double> RunReport::prefixHitRate() const {
  if (!reusedTokens)
    return std::nullopt;
  return rate(static_cast<double>(*reusedTokens),
              static_cast<double>(*reusedTokens + generation.promptTokens));
}

std::optional<double> RunReport::bandwidthShare() const {
  if (!readBandwidth || *readBandwidth <= 0.0 || generation.decodeTokens == 0)
    return std::nullopt;
  double bytes = bytesPerToken() * static_cast<double>(generation.decodeTokens);
  return rate(bytes, generation.decodeSeconds) / (*readBandwidth * 1e9);
}

__attribute__((format(printf, 2, 3))) static void appendLine(std::string &text, const char *format,
                                                             ...) {
  char line[256];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  text += line;
  text += '\n';
}

std::string formatReport(const RunReport &report) {
  const GenerationStatistics &run = report.generation;
  std::string text;
  appendLine(text, "load    %10.3f s  (%" PRId32 " threads)", report.loadSeconds, report.threads);
  if (!report.level.empty())
    appendLine(text, "level   %10s", report.level.c_str());
  appendLine(text, "prompt  %10" PRId64 " tokens in %.3f s: %.1f tokens/s", run.promptTokens,
             run.promptSeconds, rate(static_cast<double>(run.promptTokens), run.promptSeconds));
  if (auto hits = report.prefixHitRate())
    appendLine(text, "cached  %10" PRId64 " more prompt tokens: hit rate %.1f %%",
               *report.reusedTokens, *hits * 100.0);
  if (run.firstTokenSeconds > 0.0)
    appendLine(text, "first   %10.3f s to the first token", run.firstTokenSeconds);
  if (run.decodeTokens > 0) {
    appendLine(text, "decode  %10" PRId64 " tokens in %.3f s: %.1f tokens/s", run.decodeTokens,
               run.decodeSeconds, rate(static_cast<double>(run.decodeTokens), run.decodeSeconds));
    appendLine(text, "reads   %10.1f MB per decoded token", report.bytesPerToken() / 1e6);
  }
  if (auto share = report.bandwidthShare())
    appendLine(text, "memory  %10.1f %% of the %.1f GB/s that the threads read before the run",
               *share * 100.0, *report.readBandwidth);
  if (report.seed)
    appendLine(text, "seed    %10" PRIu64, *report.seed);
  return text;
}

std::string formatReportAsJSON(const RunReport &report) {
  const GenerationStatistics &run = report.generation;
  nlohmann::ordered_json json;
  json["model"] = report.model;
  json["threads"] = report.threads;
  if (!report.level.empty())
    json["level"] = report.level;
  json["load_seconds"] = report.loadSeconds;
  json["prompt_tokens"] = run.promptTokens;
  json["prompt_seconds"] = run.promptSeconds;
  json["prompt_tokens_per_second"] = rate(static_cast<double>(run.promptTokens), run.promptSeconds);
  json["first_token_seconds"] = run.firstTokenSeconds;
  json["decode_tokens"] = run.decodeTokens;
  json["decode_seconds"] = run.decodeSeconds;
  json["decode_tokens_per_second"] = rate(static_cast<double>(run.decodeTokens), run.decodeSeconds);
  json["generated_tokens"] = run.generatedTokens;
  json["steps"] = run.steps;
  json["weight_bytes_per_token"] = report.weightBytesPerToken;
  json["bytes_per_token"] = report.bytesPerToken();
  auto orNull = [](const auto &value) {
    return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
  };
  json["read_bandwidth_gbs"] = orNull(report.readBandwidth);
  json["bandwidth_share"] = orNull(report.bandwidthShare());
  if (report.reusedTokens) {
    json["cached_tokens"] = *report.reusedTokens;
    json["prefix_hit_rate"] = *report.prefixHitRate();
  }
  if (report.perplexity) {
    json["perplexity"] = report.perplexity->perplexity;
    json["tokens"] = report.perplexity->numPredicted;
  }
  json["seed"] = orNull(report.seed);
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

} // namespace llmir
