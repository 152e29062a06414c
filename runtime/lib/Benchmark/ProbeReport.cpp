// Tables and JSON of what a probe measured.

#include "ReportText.h"

#include "llmir/Benchmark/ProbeReport.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

namespace llmir::benchmark {

namespace {

const char *nameOf(Pages pages) { return pages == Pages::Huge ? "huge" : "4 KiB"; }

/// What stands in a table for a unit that is not there.
constexpr const char *kNotHere = "not on this host";

/// The values of a field of figures, each once, in the order in which they come.
template <typename Figures, typename Field> auto distinct(const Figures &figures, Field field) {
  std::vector<std::decay_t<decltype(figures.front().*field)>> values;
  for (const auto &figure : figures)
    if (std::find(values.begin(), values.end(), figure.*field) == values.end())
      values.push_back(figure.*field);
  return values;
}

std::string bandwidthTable(const MachineReport &report) {
  if (report.bandwidth.empty())
    return "";
  std::vector<int32_t> threads = distinct(report.bandwidth, &BandwidthFigure::threads);
  std::vector<Pages> pages = distinct(report.bandwidth, &BandwidthFigure::pages);
  std::string text = "\nRead bandwidth, GB/s (best round; the median where it is 5 % less):\n\n"
                     "| working set |";
  std::string rule = "|---|";
  for (int32_t count : threads)
    for (Pages kind : pages) {
      text += " " + counted(count, "thread") + ", " + nameOf(kind) + " |";
      rule += "---|";
    }
  text += "\n" + rule + "\n";
  for (int64_t bytes : distinct(report.bandwidth, &BandwidthFigure::bytes)) {
    text += "| " + formatBytes(bytes) + " |";
    for (int32_t count : threads)
      for (Pages kind : pages) {
        auto figure = std::find_if(report.bandwidth.begin(), report.bandwidth.end(),
                                   [&](const BandwidthFigure &candidate) {
                                     return candidate.bytes == bytes &&
                                            candidate.threads == count && candidate.pages == kind;
                                   });
        if (figure == report.bandwidth.end()) {
          text += " |";
          continue;
        }
        const Rates &rates = figure->gigabytesPerSecond;
        text += " " + format("%.1f", rates.best);
        if (rates.median < 0.95 * rates.best)
          text += " (" + format("%.1f", rates.median) + ")";
        text += " |";
      }
    text += "\n";
  }
  return text;
}

std::string computeTable(const MachineReport &report) {
  if (report.compute.empty())
    return "";
  std::vector<int32_t> threads = distinct(report.compute, &ComputeFigure::threads);
  std::string text = "\nPeaks, 1e9 operations per second (a product and a sum are two; best round):"
                     "\n\n| unit | needs |";
  std::string rule = "|---|---|";
  for (int32_t count : threads) {
    text += " " + counted(count, "thread") + " |";
    rule += "---|";
  }
  text += "\n" + rule + "\n";
  for (const std::string &unit : distinct(report.compute, &ComputeFigure::unit)) {
    std::string row, needs;
    for (const ComputeFigure &figure : report.compute) {
      if (figure.unit != unit)
        continue;
      needs.clear();
      for (const std::string &feature : figure.features)
        needs += (needs.empty() ? "" : " ") + feature;
      row += figure.gigaOperationsPerSecond
                 ? " " + format("%.0f", figure.gigaOperationsPerSecond->best) + " |"
                 : std::string(" ") + kNotHere + " |";
    }
    text += "| " + unit + " | " + needs + " |" + row + "\n";
  }
  return text;
}

nlohmann::ordered_json ratesJson(const Rates &rates) {
  return {{"best", rates.best}, {"median", rates.median}, {"spread", rates.spread}};
}

} // namespace

std::string formatBytes(int64_t bytes) {
  constexpr const char *kUnits[] = {"KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024)
    return std::to_string(bytes) + " bytes";
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < std::size(kUnits); ++unit)
    value /= 1024;
  return format("%.4g", value) + " " + kUnits[unit];
}

StatusOr<int64_t> parseBytes(std::string_view text) {
  auto refuse = [&] {
    return invalidArgument("expected a size such as 4096, 16K or 1G, but got '" +
                           std::string(text) + "'");
  };
  std::string_view rest = text;
  int64_t number = 0;
  size_t digits = 0;
  for (; digits < rest.size() && rest[digits] >= '0' && rest[digits] <= '9'; ++digits) {
    if (number > (std::numeric_limits<int64_t>::max() - 9) / 10)
      return refuse();
    number = number * 10 + (rest[digits] - '0');
  }
  if (digits == 0 || number == 0)
    return refuse();
  rest.remove_prefix(digits);
  if (rest.empty())
    return number;
  size_t power = std::string_view("KMGT").find(rest.front());
  if (power == std::string_view::npos || (rest.size() > 1 && rest.substr(1) != "iB"))
    return refuse();
  int shift = 10 * static_cast<int>(power + 1);
  if (number > std::numeric_limits<int64_t>::max() >> shift)
    return refuse();
  return number << shift;
}

std::string toMarkdown(const MachineReport &report) {
  std::string text = report.processor + ", " + std::to_string(report.cpus) +
                     (report.cpus == 1 ? " CPU, " : " CPUs, ") + formatBytes(report.memoryBytes) +
                     " of memory";
  if (!report.hugePages.empty())
    text += ", transparent huge pages: " + report.hugePages;
  text += ", steal " + format("%.1f", 100 * report.stealShare) + " %\nfeatures:";
  for (const std::string &feature : report.units)
    text += " " + feature;
  return text + "\n" + bandwidthTable(report) + computeTable(report);
}

std::string toJson(const MachineReport &report) {
  nlohmann::ordered_json json = {{"processor", report.processor},
                                 {"cpus", report.cpus},
                                 {"memory_bytes", report.memoryBytes},
                                 {"huge_pages", report.hugePages},
                                 {"units", report.units},
                                 {"steal_share", report.stealShare},
                                 {"bandwidth", nlohmann::ordered_json::array()},
                                 {"compute", nlohmann::ordered_json::array()}};
  for (const BandwidthFigure &figure : report.bandwidth)
    json["bandwidth"].push_back({{"bytes", figure.bytes},
                                 {"threads", figure.threads},
                                 {"pages", figure.pages == Pages::Huge ? "huge" : "small"},
                                 {"gigabytes_per_second", ratesJson(figure.gigabytesPerSecond)}});
  for (const ComputeFigure &figure : report.compute)
    json["compute"].push_back(
        {{"unit", figure.unit},
         {"features", figure.features},
         {"threads", figure.threads},
         {"giga_operations_per_second", figure.gigaOperationsPerSecond
                                            ? ratesJson(*figure.gigaOperationsPerSecond)
                                            : nlohmann::ordered_json()}});
  return json.dump(2) + "\n";
}

} // namespace llmir::benchmark
