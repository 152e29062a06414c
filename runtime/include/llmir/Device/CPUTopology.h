// CPUTopology: which CPUs share a core and which a memory node, as Linux says, and which of them a
// team of workers takes. It pins nobody.

#ifndef LLMIR_DEVICE_CPUTOPOLOGY_H
#define LLMIR_DEVICE_CPUTOPOLOGY_H

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// Where CPUs are. What the system does not say is: every CPU is a core of its own, in node 0.
class CPUTopology {
public:
  /// Reads the folders `node` and `cpu` under `root`.
  static CPUTopology read(const std::string &root = "/sys/devices/system");

  int nodeOf(int cpu) const;
  /// The least CPU of its core.
  int coreOf(int cpu) const;

private:
  std::map<int, int> nodes_, cores_;
};

/// The CPUs of a list as the kernel writes it: `0-3,8`. Empty where the text is none.
std::vector<int> parseCPUList(std::string_view text);

/// The CPUs for `workers` workers (at most one for each of `available`), in the order of the
/// workers: nodes get shares by how many CPUs they have, so that all of their memory is read; in a
/// node cores come before second threads of cores; workers with neighbouring numbers, who own
/// neighbouring parts of weights and workspace, are in one node.
std::vector<int> chooseCPUs(std::span<const int> available, const CPUTopology &topology,
                            int32_t workers);

} // namespace llmir

#endif // LLMIR_DEVICE_CPUTOPOLOGY_H
