// `llm.attention` in a function: its buffers, and the call of its kernel.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONCONVERSION_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONCONVERSION_H

#include "DenseAttention.h"

namespace mlir::llm {

/// Computes `op` over memrefs without layout in front of the builder; returns the result's buffer.
/// Buffers are freed by the pass's deallocation.
Value emitDenseAttention(KernelBuilder &builder, KernelLibrary &library, AttentionOp op,
                         AttentionOp::Adaptor operands, AttentionTechnique technique);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_DENSEATTENTIONCONVERSION_H
