// Integer dot products of packed weight codes and int8 activations: the one place that knows the
// processors' byte multipliers. All results are exact, so that every unit gives the same numbers.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_DOTPRODUCT_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_DOTPRODUCT_H

#include "KernelLibrary.h"

#include "llmir/Support/PackedLayout.h"

namespace mlir::llm {

/// What a group's codes are biased by in the multiplier: the dot product of a group starts at
/// `-bias` times the sum of its activations. 0: the sum is not needed.
int64_t groupBias(::llmir::PackedFormat format, const CPUTarget &target);

/// One group of 32 codes of `target.lanes` rows against `tokens` tokens.
struct GroupDot {
  ::llmir::PackedFormat format;
  Value weights;    ///< memref<?xi8>
  Value codeOffset; ///< Of the first row's first codes.
  int64_t tokens;
  /// The four codes of quad `quad` (0..7) of token `token` in every lane: vector<4*lanes x i8>.
  llvm::function_ref<Value(int64_t token, int64_t quad)> activation;
  /// The sum of the token's 32 codes (i32); asked for where groupBias is not 0.
  llvm::function_ref<Value(int64_t token)> activationSum;
};

/// The dot product of each token: vector<lanes x i32>.
SmallVector<Value> emitGroupDot(KernelBuilder &builder, KernelLibrary &library,
                                const GroupDot &dot);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_DOTPRODUCT_H
