// From feature names to the units that kernels use.

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::llm {

/// The best byte unit of `features`.
static DotUnit selectDotUnit(ArrayRef<std::string> features) {
  auto has = [&](StringRef feature) { return llvm::is_contained(features, feature); };
  if (has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512vnni"))
    return DotUnit::AVX512VNNI;
  return has("avxvnni") ? DotUnit::AVXVNNI : DotUnit::AVX2;
}

FailureOr<CPUTarget> CPUTarget::fromFeatures(ArrayRef<std::string> features,
                                             std::string &missingFeature,
                                             ArrayRef<std::string> emulated) {
  for (StringRef required : {"avx2", "fma", "f16c"}) {
    if (!llvm::is_contained(features, required)) {
      missingFeature = required.str();
      return failure();
    }
  }
  std::vector<std::string> all = features.vec();
  all.insert(all.end(), emulated.begin(), emulated.end());
  CPUTarget target;
  target.dotUnit = selectDotUnit(all);
  target.lanes = target.dotUnit == DotUnit::AVX512VNNI ? 16 : 8;
  target.isEmulated = target.dotUnit != selectDotUnit(features);
  return target;
}

static constexpr StringRef kAVX2[] = {"avx2", "fma", "f16c"};
static constexpr StringRef kAVXVNNI[] = {"avx2", "fma", "f16c", "avxvnni"};
static constexpr StringRef kAVX512VNNI[] = {"avx2",     "fma",      "f16c",      "avx512f",
                                            "avx512bw", "avx512vl", "avx512vnni"};

ArrayRef<CPULevel> cpuLevels() {
  static const CPULevel levels[] = {
      {"avx2", kAVX2}, {"avx_vnni", kAVXVNNI}, {"avx512_vnni", kAVX512VNNI}};
  return levels;
}

const CPULevel *findCPULevel(StringRef name) {
  for (const CPULevel &level : cpuLevels())
    if (level.name == name)
      return &level;
  return nullptr;
}

} // namespace mlir::llm
