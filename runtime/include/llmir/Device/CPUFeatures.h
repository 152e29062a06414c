// CPUFeatures: what the processor *and* the operating system let a program use, under LLVM's
// feature names, so that a compiled model can be refused before it meets an illegal instruction.
// Read from CPUID and XGETBV (HWCAP on AArch64); the processor's name is never looked at.

#ifndef LLMIR_DEVICE_CPUFEATURES_H
#define LLMIR_DEVICE_CPUFEATURES_H

#include "llmir/Base/Status.h"

#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

namespace llmir {

/// A set of feature names such as `avx2`, `avx512vnni` or `amx-int8`. Immutable, so shared freely.
class CPUFeatures {
public:
  /// A set given by name, for tests and for asking about other hosts.
  explicit CPUFeatures(std::set<std::string, std::less<>> names) : names_(std::move(names)) {}

  /// The features of this host; detected once.
  static const CPUFeatures &host();

  bool has(std::string_view feature) const { return names_.find(feature) != names_.end(); }
  const std::set<std::string, std::less<>> &names() const { return names_; }

  /// The first of `required` that is not in the set; a leading `+` is ignored.
  std::optional<std::string> firstMissing(std::span<const std::string> required) const;

private:
  std::set<std::string, std::less<>> names_;
};

/// Asks the operating system for what `required` needs beyond the instructions themselves: the AMX
/// tile state of this process. FailedPrecondition when it is refused. Call it before starting the
/// threads that use the tiles.
Status enableCPUFeatures(std::span<const std::string> required);

} // namespace llmir

#endif // LLMIR_DEVICE_CPUFEATURES_H
