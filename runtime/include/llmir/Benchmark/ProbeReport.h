// ProbeReport: a MachineReport as tables for people and as JSON for programs.

#ifndef LLMIR_BENCHMARK_PROBEREPORT_H
#define LLMIR_BENCHMARK_PROBEREPORT_H

#include "llmir/Benchmark/MachineProbe.h"

#include <string>

namespace llmir::benchmark {

/// `16 KiB`, `1.5 MiB`, `1 GiB`: bytes in the largest unit of which there is at least one.
std::string formatBytes(int64_t bytes);

/// The bytes that `text` (`4096`, `16K`, `1G`; powers of 1024, an `iB` may follow) stands for.
StatusOr<int64_t> parseBytes(std::string_view text);

/// Tables in Markdown: one of bandwidth, with a row for each working set, one of units.
std::string toMarkdown(const MachineReport &report);
/// One JSON object, with the names of MachineReport in snake case.
std::string toJson(const MachineReport &report);

} // namespace llmir::benchmark

#endif // LLMIR_BENCHMARK_PROBEREPORT_H
