// Sizes in words, tables and JSON, of figures that are given.

#include "llmir/Benchmark/ProbeReport.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

MachineReport makeReport() {
  MachineReport report;
  report.processor = "A Processor";
  report.cpus = 2;
  report.memoryBytes = int64_t{8} << 30;
  report.hugePages = "always [madvise] never";
  report.units = {"avx2", "fma"};
  report.stealShare = 0.0125;
  report.bandwidth = {{16384, 1, Pages::Small, {100, 99, 0.01}},
                      {int64_t{1} << 30, 1, Pages::Small, {20, 15, 0.5}},
                      {16384, 1, Pages::Huge, {101, 100, 0.02}},
                      {16384, 2, Pages::Small, {200, 199, 0}},
                      {16384, 2, Pages::Huge, {202, 200, 0}}};
  report.compute = {{"f32 FMA", {"avx2", "fma"}, 1, Rates{64.4, 60, 0.1}},
                    {"tiles", {"amx-tile"}, 1, std::nullopt},
                    {"f32 FMA", {"avx2", "fma"}, 2, Rates{128.6, 120, 0.1}},
                    {"tiles", {"amx-tile"}, 2, std::nullopt}};
  return report;
}

} // namespace

TEST(ProbeReportTest, FormatsBytes) {
  EXPECT_EQ(formatBytes(0), "0 bytes");
  EXPECT_EQ(formatBytes(1023), "1023 bytes");
  EXPECT_EQ(formatBytes(1024), "1 KiB");
  EXPECT_EQ(formatBytes(1536), "1.5 KiB");
  EXPECT_EQ(formatBytes(int64_t{98} << 20), "98 MiB");
  EXPECT_EQ(formatBytes(int64_t{1} << 30), "1 GiB");
  EXPECT_EQ(formatBytes(int64_t{5} << 50), "5120 TiB");
}

TEST(ProbeReportTest, ParsesBytes) {
  for (auto [text, bytes] : {std::pair<const char *, int64_t>{"1", 1},
                             {"4096", 4096},
                             {"16K", 16 << 10},
                             {"98MiB", int64_t{98} << 20},
                             {"1G", 1 << 30},
                             {"2T", int64_t{2} << 40}}) {
    StatusOr<int64_t> parsed = parseBytes(text);
    ASSERT_TRUE(parsed.isOk()) << text;
    EXPECT_EQ(*parsed, bytes) << text;
  }
  for (const char *text :
       {"", "0", "K", "-1", "1.5M", "1k", "1KB", "1Mi", "9223372036854775808", "8388608T", " 1"}) {
    StatusOr<int64_t> parsed = parseBytes(text);
    ASSERT_FALSE(parsed.isOk()) << text;
    EXPECT_EQ(parsed.status().message(),
              "expected a size such as 4096, 16K or 1G, but got '" + std::string(text) + "'");
  }
}

TEST(ProbeReportTest, PrintsTables) {
  EXPECT_EQ(
      toMarkdown(makeReport()),
      "A Processor, 2 CPUs, 8 GiB of memory, transparent huge pages: always [madvise] never, steal "
      "1.2 %\n"
      "features: avx2 fma\n"
      "\n"
      "Read bandwidth, GB/s (best round; the median where it is 5 % less):\n"
      "\n"
      "| working set | 1 thread, 4 KiB | 1 thread, huge | 2 threads, 4 KiB | 2 threads, huge |\n"
      "|---|---|---|---|---|\n"
      "| 16 KiB | 100.0 | 101.0 | 200.0 | 202.0 |\n"
      "| 1 GiB | 20.0 (15.0) | | | |\n"
      "\n"
      "Peaks, 1e9 operations per second (a product and a sum are two; best round):\n"
      "\n"
      "| unit | needs | 1 thread | 2 threads |\n"
      "|---|---|---|---|\n"
      "| f32 FMA | avx2 fma | 64 | 129 |\n"
      "| tiles | amx-tile | not on this host | not on this host |\n");
}

TEST(ProbeReportTest, PrintsNoEmptyTables) {
  MachineReport report = makeReport();
  report.bandwidth.clear();
  report.compute.clear();
  report.hugePages.clear();
  report.cpus = 1;
  EXPECT_EQ(toMarkdown(report),
            "A Processor, 1 CPU, 8 GiB of memory, steal 1.2 %\nfeatures: avx2 fma\n");
}

TEST(ProbeReportTest, PrintsJson) {
  nlohmann::json json = nlohmann::json::parse(toJson(makeReport()));
  EXPECT_EQ(json["processor"], "A Processor");
  EXPECT_EQ(json["memory_bytes"], int64_t{8} << 30);
  ASSERT_EQ(json["bandwidth"].size(), 5u);
  EXPECT_EQ(json["bandwidth"][1]["bytes"], 1 << 30);
  EXPECT_EQ(json["bandwidth"][1]["pages"], "small");
  EXPECT_EQ(json["bandwidth"][2]["pages"], "huge");
  EXPECT_EQ(json["bandwidth"][1]["gigabytes_per_second"]["median"], 15);
  EXPECT_EQ(json["compute"][0]["giga_operations_per_second"]["best"], 64.4);
  EXPECT_TRUE(json["compute"][1]["giga_operations_per_second"].is_null());
  EXPECT_EQ(json["compute"][1]["features"][0], "amx-tile");
}
