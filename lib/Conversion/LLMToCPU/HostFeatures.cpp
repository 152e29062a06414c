// The features of this machine, as LLVM sees them.

#include "HostFeatures.h"

#include "mlir/IR/Diagnostics.h"
#include "llvm/TargetParser/Host.h"

namespace mlir::llm {

FailureOr<CPUTarget> targetFromOption(Operation *op, ArrayRef<std::string> features,
                                      ArrayRef<std::string> emulated) {
  std::vector<std::string> allowed = features.vec();
  if (allowed.empty())
    for (const auto &feature : llvm::sys::getHostCPUFeatures())
      if (feature.second)
        allowed.push_back(feature.first().str());
  std::string missing;
  FailureOr<CPUTarget> target = CPUTarget::fromFeatures(allowed, missing, emulated);
  if (failed(target))
    op->emitError("expected a target with the feature '") << missing << "'";
  return target;
}

} // namespace mlir::llm
