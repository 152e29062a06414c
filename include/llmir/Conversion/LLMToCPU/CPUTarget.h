// What the kernel generators need to know of the processor they generate for: chosen from LLVM
// feature names, never from a processor's name.

#ifndef LLMIR_CONVERSION_LLMTOCPU_CPUTARGET_H
#define LLMIR_CONVERSION_LLMTOCPU_CPUTARGET_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <string>

namespace mlir::llm {

/// The unit that multiplies bytes.
enum class DotUnit : uint8_t {
  AVX2,       ///< vpmaddubsw + vpmaddwd
  AVXVNNI,    ///< vpdpbusd on 256 bits
  AVX512VNNI, ///< vpdpbusd on 512 bits
  NEON,       ///< smull + sadalp: what every AArch64 has
  NEONDot,    ///< sdot
  SVE,        ///< sdot on vectors of any length; emulated on 128 bits
  NEONI8MM    ///< smmla: two rows by two tokens; sdot for few tokens
};

/// Whether `unit` is one of AArch64's.
inline bool isAArch64(DotUnit unit) { return unit >= DotUnit::NEON; }

/// The unit that multiplies pairs of bf16.
enum class PairUnit : uint8_t {
  None, ///< Activations in bf16 are kept in f32 and multiplied as such.
  Dots, ///< vdpbf16ps, on vectors of CPUTarget::lanes
  Tiles ///< tdpbf16ps, at every number of tokens
};

/// A processor as a kernel generator sees it.
struct CPUTarget {
  DotUnit dotUnit = DotUnit::AVX2;
  /// f32 lanes of a vector: 4 (AArch64), 8 or 16.
  int64_t lanes = 8;
  /// Vector registers of that many lanes.
  int64_t registers = 16;
  /// The schedule is that of `dotUnit`, but its instructions are replaced by plain arithmetic with
  /// the same results, so that the code runs where the unit is missing.
  bool isEmulated = false;
  PairUnit pairUnit = PairUnit::None;
  bool emulatesPairs = false;
  /// vdpbf16ps, whatever pairUnit prefers.
  bool hasPairDots = false;
  bool emulatesPairDots = false;
  /// tdpbssd, for as many tokens as make it worth while; its sums are those of `dotUnit`.
  bool hasByteTiles = false;
  bool emulatesByteTiles = false;

  /// The best units that `features` (LLVM names, without sign) allow; those of `emulated` count as
  /// present, and where they are AArch64's (neon), so is the unit. Fails, naming the feature, where
  /// the least that the generators need (avx2, fma, f16c; on AArch64 neon) is missing.
  static FailureOr<CPUTarget> fromFeatures(ArrayRef<std::string> features,
                                           std::string &missingFeature,
                                           ArrayRef<std::string> emulated = {});
};

/// A named set of features: the least that a unit needs beyond the base.
struct CPULevel {
  StringRef name;
  ArrayRef<StringRef> features;
};
/// `avx2`, `avx_vnni`, `avx512_vnni`, `avx512_bf16`, `amx_int8`, `amx_bf16`, then AArch64's `neon`,
/// `neon_dotprod`, `sve`, `neon_i8mm`: each from the least to the most.
ArrayRef<CPULevel> cpuLevels();
/// The level of that name, or null.
const CPULevel *findCPULevel(StringRef name);

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOCPU_CPUTARGET_H
