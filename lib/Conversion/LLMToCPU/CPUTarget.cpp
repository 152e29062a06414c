// From feature names to the units that kernels use.

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::llm {

static bool hasAll(ArrayRef<std::string> features, ArrayRef<StringRef> names) {
  return llvm::all_of(names, [&](StringRef name) { return llvm::is_contained(features, name); });
}

/// The best byte unit of `features`.
static DotUnit selectDotUnit(ArrayRef<std::string> features) {
  // smmla on 128 bits does what sdot does on 256, and vectors longer than that do not have both.
  if (hasAll(features, {"neon", "dotprod", "i8mm"}))
    return DotUnit::NEONI8MM;
  if (hasAll(features, {"neon", "sve"}))
    return DotUnit::SVE;
  if (hasAll(features, {"neon"}))
    return hasAll(features, {"dotprod"}) ? DotUnit::NEONDot : DotUnit::NEON;
  if (hasAll(features, {"avx512f", "avx512bw", "avx512vl", "avx512vnni"}))
    return DotUnit::AVX512VNNI;
  return hasAll(features, {"avxvnni"}) ? DotUnit::AVXVNNI : DotUnit::AVX2;
}

/// Not beside the vectors of AArch64, where those are emulated.
static bool allowsPairDots(ArrayRef<std::string> features) {
  return hasAll(features, {"avx512bf16", "avx512vl"}) && !hasAll(features, {"neon"});
}

/// The best unit for pairs of bf16. Tiles go with long vectors, which scale and store their sums.
static PairUnit selectPairUnit(ArrayRef<std::string> features) {
  if (selectDotUnit(features) == DotUnit::AVX512VNNI && hasAll(features, {"amx-tile", "amx-bf16"}))
    return PairUnit::Tiles;
  return allowsPairDots(features) ? PairUnit::Dots : PairUnit::None;
}

static bool allowsByteTiles(ArrayRef<std::string> features) {
  return selectDotUnit(features) == DotUnit::AVX512VNNI &&
         hasAll(features, {"amx-tile", "amx-int8"});
}

FailureOr<CPUTarget> CPUTarget::fromFeatures(ArrayRef<std::string> features,
                                             std::string &missingFeature,
                                             ArrayRef<std::string> emulated) {
  // x86 units are emulated on x86 only, those of AArch64 everywhere.
  bool needsX86 = !hasAll(features, {"neon"}) || (!emulated.empty() && !hasAll(emulated, {"neon"}));
  for (StringRef required : {"avx2", "fma", "f16c"}) {
    if (needsX86 && !llvm::is_contained(features, required)) {
      missingFeature = required.str();
      return failure();
    }
  }
  std::vector<std::string> all = features.vec();
  all.insert(all.end(), emulated.begin(), emulated.end());
  CPUTarget target;
  target.dotUnit = selectDotUnit(all);
  bool isLong = target.dotUnit == DotUnit::AVX512VNNI;
  target.lanes = isLong ? 16 : isAArch64(target.dotUnit) ? 4 : 8;
  target.registers = isLong || isAArch64(target.dotUnit) ? 32 : 16;
  target.isEmulated = target.dotUnit != selectDotUnit(features);
  target.pairUnit = selectPairUnit(all);
  target.emulatesPairs = target.pairUnit != selectPairUnit(features);
  target.hasPairDots = allowsPairDots(all);
  target.emulatesPairDots = target.hasPairDots && !allowsPairDots(features);
  target.hasByteTiles = allowsByteTiles(all);
  target.emulatesByteTiles = target.hasByteTiles && !allowsByteTiles(features);
  return target;
}

#define LLMIR_AVX2 "avx2", "fma", "f16c"
#define LLMIR_AVX512_VNNI LLMIR_AVX2, "avx512f", "avx512bw", "avx512vl", "avx512vnni"
#define LLMIR_AMX_INT8 LLMIR_AVX512_VNNI, "avx512bf16", "amx-tile", "amx-int8"
static constexpr StringRef kAVX2[] = {LLMIR_AVX2};
static constexpr StringRef kAVXVNNI[] = {LLMIR_AVX2, "avxvnni"};
static constexpr StringRef kAVX512VNNI[] = {LLMIR_AVX512_VNNI};
static constexpr StringRef kAVX512BF16[] = {LLMIR_AVX512_VNNI, "avx512bf16"};
static constexpr StringRef kAMXInt8[] = {LLMIR_AMX_INT8};
static constexpr StringRef kAMXBF16[] = {LLMIR_AMX_INT8, "amx-bf16"};
static constexpr StringRef kNEON[] = {"neon"};
static constexpr StringRef kNEONDot[] = {"neon", "dotprod"};
static constexpr StringRef kSVE[] = {"neon", "sve"};
static constexpr StringRef kNEONI8MM[] = {"neon", "dotprod", "i8mm"};

ArrayRef<CPULevel> cpuLevels() {
  static const CPULevel levels[] = {{"avx2", kAVX2},
                                    {"avx_vnni", kAVXVNNI},
                                    {"avx512_vnni", kAVX512VNNI},
                                    {"avx512_bf16", kAVX512BF16},
                                    {"amx_int8", kAMXInt8},
                                    {"amx_bf16", kAMXBF16},
                                    {"neon", kNEON},
                                    {"neon_dotprod", kNEONDot},
                                    {"sve", kSVE},
                                    {"neon_i8mm", kNEONI8MM}};
  return levels;
}

const CPULevel *findCPULevel(StringRef name) {
  for (const CPULevel &level : cpuLevels())
    if (level.name == name)
      return &level;
  return nullptr;
}

} // namespace mlir::llm
