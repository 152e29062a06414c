// From ops over a cache to the kernels that compute them, for steps and for functions alike: which
// attributes and layouts the CPU's kernels have, and the diagnostic for those that they do not.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPKERNELS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPKERNELS_H

#include "Kernels.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"

namespace mlir::llm {

/// Success when the CPU has a kernel for the op; otherwise a diagnostic on it.
LogicalResult checkAttention(PagedAttentionOp op);

/// The kernel of an attention that checkAttention let pass, whose query and output are rows of
/// these types.
AttentionKernel getAttentionKernel(PagedAttentionOp op, MemRefType query, MemRefType output);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEOPKERNELS_H
