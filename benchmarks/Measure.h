// Measure: how the C++ benchmarks time two things against each other: rounds in turn, after a
// warm-up, medians, and one printed line with the ratio and the limit that it is held to.

#ifndef LLMIR_BENCHMARKS_MEASURE_H
#define LLMIR_BENCHMARKS_MEASURE_H

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <vector>

namespace llmir::benchmark {

/// Seconds that one call takes.
template <typename Function> double secondsOf(Function &&function) {
  auto start = std::chrono::steady_clock::now();
  function();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// Makes the compiler believe that `value` is needed.
template <typename T> void keep(const T &value) { asm volatile("" : : "r,m"(value) : "memory"); }

/// Median seconds of a call.
template <typename Function> double measure(Function &&function, int rounds = 31) {
  std::vector<double> seconds;
  for (int i = 0; i < rounds + 3; ++i)
    if (double time = secondsOf(function); i >= 3)
      seconds.push_back(time);
  return median(seconds);
}

/// Median seconds of two functions whose rounds alternate, so that both meet the same disturbances.
struct Pair {
  double ours = 0;
  double peer = 0;
};
template <typename Ours, typename Peer>
Pair measurePair(Ours &&ours, Peer &&peer, int rounds = 31) {
  std::vector<double> first, second;
  for (int i = 0; i < rounds + 3; ++i) {
    double a = secondsOf(ours), b = secondsOf(peer);
    if (i >= 3) {
      first.push_back(a);
      second.push_back(b);
    }
  }
  return {median(first), median(second)};
}

/// `what: 0.71 of peer (limit: at least 0.60)`.
inline void printAtLeast(const char *what, double value, const char *unit, double limit) {
  std::printf("%-58s %9.3f %-22s at least %.3g: %s\n", what, value, unit, limit,
              value >= limit ? "met" : "MISSED");
}
inline void printAtMost(const char *what, double value, const char *unit, double limit) {
  std::printf("%-58s %9.3f %-22s at most %.3g: %s\n", what, value, unit, limit,
              value <= limit ? "met" : "MISSED");
}
/// A figure without a limit.
inline void printFigure(const char *what, double value, const char *unit) {
  std::printf("%-58s %9.3f %s\n", what, value, unit);
}

} // namespace llmir::benchmark

#endif // LLMIR_BENCHMARKS_MEASURE_H
