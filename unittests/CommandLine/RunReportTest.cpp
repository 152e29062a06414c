// RunReport: rates and shares, and both forms.

#include "llmir/CommandLine/RunReport.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace llmir;
using ::testing::HasSubstr;

static RunReport makeReport() {
  RunReport report;
  report.model = "name with \"quotes\" and \xff";
  report.threads = 2;
  report.loadSeconds = 0.25;
  report.weightBytesPerToken = 100'000'000;
  report.cacheBytesPerToken = 1000;
  report.readBandwidth = 20.0;
  report.generation.promptTokens = 10;
  report.generation.promptSeconds = 0.1;
  report.generation.decodeTokens = 20;
  report.generation.decodeSeconds = 0.2;
  report.generation.decodeSteps = 20;
  report.generation.decodeContextTokens = 20 * 50;
  return report;
}

TEST(RunReportTest, DerivesBytesAndShare) {
  RunReport report = makeReport();
  EXPECT_DOUBLE_EQ(report.bytesPerToken(), 100'000'000 + 50 * 1000);
  EXPECT_NEAR(*report.bandwidthShare(), 100'050'000 * 100.0 / 20e9, 1e-9);
  // Two sequences in a step share its weights.
  report.generation.decodeSteps = 10;
  EXPECT_DOUBLE_EQ(report.bytesPerToken(), 50'000'000 + 50 * 1000);
  report.readBandwidth.reset();
  EXPECT_FALSE(report.bandwidthShare());
  report.generation = {};
  EXPECT_EQ(report.bytesPerToken(), 0.0);
}

TEST(RunReportTest, JSONIsOneLine) {
  std::string line = formatReportAsJSON(makeReport());
  EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1);
  auto json = nlohmann::json::parse(line);
  EXPECT_EQ(json["prompt_tokens"], 10);
  EXPECT_DOUBLE_EQ(json["decode_tokens_per_second"], 100.0);
  EXPECT_DOUBLE_EQ(json["read_bandwidth_gbs"], 20.0);
  EXPECT_FALSE(json.contains("perplexity"));
}

TEST(RunReportTest, SaysWhatThePrefixCacheGave) {
  RunReport report = makeReport();
  EXPECT_FALSE(report.prefixHitRate());
  EXPECT_THAT(formatReport(report), ::testing::Not(HasSubstr("cached")));
  EXPECT_FALSE(nlohmann::json::parse(formatReportAsJSON(report)).contains("cached_tokens"));
  report.reusedTokens = 30;
  EXPECT_DOUBLE_EQ(*report.prefixHitRate(), 0.75);
  EXPECT_THAT(formatReport(report), HasSubstr("30 more prompt tokens: hit rate 75.0 %"));
  auto json = nlohmann::json::parse(formatReportAsJSON(report));
  EXPECT_EQ(json["cached_tokens"], 30);
  EXPECT_DOUBLE_EQ(json["prefix_hit_rate"], 0.75);
}

TEST(RunReportTest, TextHasRatesAndShare) {
  std::string text = formatReport(makeReport());
  EXPECT_THAT(text, HasSubstr("100.0 tokens/s"));
  EXPECT_THAT(text, HasSubstr("20.0 GB/s"));
  EXPECT_THAT(formatReport(RunReport()), ::testing::Not(HasSubstr("decode")));
}
