// Recognises attention in code on tensors: a product of queries and keys, a softmax, a product with
// values. Says what the operands are; RaiseAttention makes the op.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONPATTERN_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONPATTERN_H

#include "TensorExpressions.h"

#include "mlir/IR/PatternMatch.h"

namespace mlir::llm {

/// What was recognised, over the atoms of `space`. A KV head is (batch, head); the query heads that
/// share it are told apart by `group`.
struct AttentionPattern {
  IterationSpace space;
  AtomList batch, head, group;
  AtomList queries, keys;
  AtomList headDim, valueDim;

  TensorView query, key, value, result;
  double scale = 1.0;
  std::optional<double> softCap;
  bool causal = false;
  std::optional<int64_t> window;
  /// Booleans, true where a key is seen, or numbers that are added to the scores.
  std::optional<TensorView> mask;
  /// The mask is true where a key is not seen.
  bool maskIsInverted = false;
};

/// Recognises attention whose product with values is `product`. On failure `notify` is told why,
/// if more than the first glance was needed.
FailureOr<AttentionPattern> matchAttention(linalg::LinalgOp product,
                                           llvm::function_ref<void(StringRef)> notify);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_ATTENTIONPATTERN_H
