// ComputeUnits: the arithmetic units that the probe knows, each with a loop that keeps it busy from
// registers alone. Private to the library.

#ifndef LLMIR_LIB_BENCHMARK_COMPUTEUNITS_H
#define LLMIR_LIB_BENCHMARK_COMPUTEUNITS_H

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace llmir::benchmark {

struct ComputeUnit {
  const char *name;
  std::vector<std::string> features; ///< that the loop needs, by LLVM's names
  int64_t operationsPerIteration;
  /// Runs the unit for so many iterations on the calling thread. Only where the features are.
  void (*run)(int64_t iterations);
};

/// The units of this architecture, in the order in which tables show them; none where the probe
/// knows no units of it.
std::span<const ComputeUnit> computeUnits();

} // namespace llmir::benchmark

#endif // LLMIR_LIB_BENCHMARK_COMPUTEUNITS_H
