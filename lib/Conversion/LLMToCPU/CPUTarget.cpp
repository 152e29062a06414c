// From feature names to the units that kernels use.

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::llm {

FailureOr<CPUTarget> CPUTarget::fromFeatures(ArrayRef<std::string> features,
                                             std::string &missingFeature) {
  auto has = [&](StringRef feature) { return llvm::is_contained(features, feature); };
  for (StringRef required : {"avx2", "fma", "f16c"}) {
    if (!has(required)) {
      missingFeature = required.str();
      return failure();
    }
  }
  CPUTarget target;
  if (has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512vnni"))
    return CPUTarget{DotUnit::AVX512VNNI, 16};
  if (has("avxvnni"))
    target.dotUnit = DotUnit::AVXVNNI;
  return target;
}

} // namespace mlir::llm
