// Patterns of the dialect's passes that others apply too.

#ifndef LLMIR_DIALECT_LLM_TRANSFORMS_PATTERNS_H
#define LLMIR_DIALECT_LLM_TRANSFORMS_PATTERNS_H

#include "mlir/IR/PatternMatch.h"

namespace mlir::llm {

/// `llm.append_kv` to `llm.reserve_kv` and `llm.store_kv`: see llm-separate-kv-allocation. Where
/// the number of tokens is not known it is asked for by `tensor.dim` or `memref.dim`.
void populateSeparateKVAllocationPatterns(RewritePatternSet &patterns);

} // namespace mlir::llm

#endif // LLMIR_DIALECT_LLM_TRANSFORMS_PATTERNS_H
