// What kernels that ran on the CPU did wrong: for tests and drivers, which ask after a launch.

#ifndef LLMIR_SIMT_FAULTS_H
#define LLMIR_SIMT_FAULTS_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace llmir::simt {

enum class FaultKind {
  OutOfBounds, ///< An access outside a buffer, which was not done; a read gave zero.
  Race,        ///< Two threads of a block accessed a workgroup element without a barrier between.
  Undefined,   ///< A read of workgroup memory that no thread had written.
  Divergence   ///< A barrier or shuffle that not all threads reached; the block was given up.
};

/// One mistake; the same mistake of a kernel at the same place is recorded once.
struct Fault {
  FaultKind kind{};
  std::string kernel;
  std::string where;   ///< The op at fault and its place in the source.
  std::string message; ///< What was found and what was expected, with numbers.
  std::array<int64_t, 3> block{};
  std::array<int64_t, 3> thread{};

  /// All of it in one line.
  std::string toString() const;
};

/// The faults since the last call, of launches of all threads, in order.
std::vector<Fault> takeFaults();

} // namespace llmir::simt

#endif // LLMIR_SIMT_FAULTS_H
