// What code is generated for: a triple and the instruction-set features that it may use, by LLVM's
// names. Everything that depends on the processor asks this, and nothing asks for its name.

#ifndef LLMIR_TARGET_CPU_TARGETDESCRIPTION_H
#define LLMIR_TARGET_CPU_TARGETDESCRIPTION_H

#include "llmir/Base/Status.h"
#include "llvm/ADT/StringRef.h"
#include <string>
#include <vector>

namespace mlir::llm {

/// A triple and the features beyond the triple's base that code may use.
struct TargetDescription {
  std::string triple;
  /// LLVM feature names without a sign, sorted; the SSE ones that avx2 implies are left out.
  std::vector<std::string> features;

  /// The running machine: its features come from CPUID, never from its name. Only features that
  /// compiled models can use are kept (vector, dot-product, tile and bit-manipulation units).
  static TargetDescription forHost();

  /// Whether the running machine has the architecture of `triple` (empty: the host's).
  static bool isHost(llvm::StringRef triple);

  /// What LLVM's tables say of a processor such as `znver5` or `sapphirerapids`, reduced to what
  /// compiled models can use; `native`: the host's. Fails with the name of a processor that LLVM
  /// does not know for the triple (empty: the host's).
  static ::llmir::StatusOr<TargetDescription> forProcessor(llvm::StringRef triple,
                                                           llvm::StringRef processor);

  /// The base of `triple` (empty: the host's) or the processor, where one is named, with the
  /// features of a comma-separated list such as `avx2,fma,f16c`, a leading `+` allowed; `native`
  /// stands for the host's. Fails with the name of a feature that LLVM does not know for the
  /// triple.
  static ::llmir::StatusOr<TargetDescription> parse(llvm::StringRef triple, llvm::StringRef list,
                                                    llvm::StringRef processor = "");

  /// Whether `feature` is one of `features` or, by LLVM's tables, implied by them.
  bool has(llvm::StringRef feature) const;
  /// `features` and those that they imply, of the ones that compiled models can use; sorted.
  std::vector<std::string> withImplied() const;
  /// `+avx2,+fma`, with the tuning features that the set calls for.
  std::string codegenFeatures() const;
  /// The generic processor that code is generated for; features come on top.
  llvm::StringRef codegenCPU() const;
  /// The generic processor whose costs are assumed, chosen by features.
  llvm::StringRef tuningCPU() const;
};

} // namespace mlir::llm

#endif // LLMIR_TARGET_CPU_TARGETDESCRIPTION_H
