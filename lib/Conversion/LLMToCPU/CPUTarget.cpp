// From feature names to the units that kernels use.

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::llm {

static constexpr StringRef kAVX2[] = {"avx2", "fma", "f16c"};
static constexpr StringRef kAVXVNNI[] = {"avx2", "fma", "f16c", "avxvnni"};
static constexpr StringRef kAVX512VNNI[] = {"avx2",     "fma",      "f16c",      "avx512f",
                                            "avx512bw", "avx512vl", "avx512vnni"};
static constexpr StringRef kNEON[] = {"neon"};
static constexpr StringRef kNEONDot[] = {"neon", "dotprod"};
static constexpr StringRef kNEONI8MM[] = {"neon", "dotprod", "i8mm"};

/// The best byte unit of `features`.
static DotUnit selectDotUnit(ArrayRef<std::string> features) {
  auto has = [&](StringRef feature) { return llvm::is_contained(features, feature); };
  if (has("neon"))
    return has("i8mm") && has("dotprod") ? DotUnit::NEONI8MM
           : has("dotprod")              ? DotUnit::NEONDot
                                         : DotUnit::NEON;
  if (has("avx512f") && has("avx512bw") && has("avx512vl") && has("avx512vnni"))
    return DotUnit::AVX512VNNI;
  return has("avxvnni") ? DotUnit::AVXVNNI : DotUnit::AVX2;
}

FailureOr<CPUTarget> CPUTarget::fromFeatures(ArrayRef<std::string> features,
                                             std::string &missingFeature,
                                             ArrayRef<std::string> emulated) {
  // x86 units are emulated on x86 only, those of AArch64 everywhere.
  bool isArm = llvm::is_contained(features, "neon");
  bool emulatesArm = llvm::is_contained(emulated, "neon");
  if (!isArm || (!emulated.empty() && !emulatesArm)) {
    for (StringRef required : kAVX2) {
      if (!llvm::is_contained(features, required)) {
        missingFeature = required.str();
        return failure();
      }
    }
  }
  std::vector<std::string> all = features.vec();
  all.insert(all.end(), emulated.begin(), emulated.end());
  CPUTarget target;
  target.dotUnit = selectDotUnit(all);
  target.lanes = isAArch64(target.dotUnit) ? 4 : target.dotUnit == DotUnit::AVX512VNNI ? 16 : 8;
  target.isEmulated = target.dotUnit != selectDotUnit(features);
  return target;
}

ArrayRef<CPULevel> cpuLevels() {
  static const CPULevel levels[] = {
      {"avx2", kAVX2}, {"avx_vnni", kAVXVNNI},     {"avx512_vnni", kAVX512VNNI},
      {"neon", kNEON}, {"neon_dotprod", kNEONDot}, {"neon_i8mm", kNEONI8MM}};
  return levels;
}

const CPULevel *findCPULevel(StringRef name) {
  for (const CPULevel &level : cpuLevels())
    if (level.name == name)
      return &level;
  return nullptr;
}

} // namespace mlir::llm
