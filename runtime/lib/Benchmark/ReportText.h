// ReportText: numbers and counts as the reports of llmir-benchmark write them. Internal.

#ifndef LLMIR_LIB_BENCHMARK_REPORTTEXT_H
#define LLMIR_LIB_BENCHMARK_REPORTTEXT_H

#include <cstdint>
#include <cstdio>
#include <string>

namespace llmir::benchmark {

/// `value` by a printf pattern with one conversion of a double, at most 63 characters.
inline std::string format(const char *pattern, double value) {
  char text[64];
  std::snprintf(text, sizeof(text), pattern, value);
  return text;
}

/// `1 thread`, `2 threads`.
inline std::string counted(int64_t count, const std::string &what) {
  return std::to_string(count) + " " + what + (count == 1 ? "" : "s");
}

} // namespace llmir::benchmark

#endif // LLMIR_LIB_BENCHMARK_REPORTTEXT_H
