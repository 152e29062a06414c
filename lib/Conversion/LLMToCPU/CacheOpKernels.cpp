// Kernels of ops over a cache: see CacheOpKernels.h.

#include "CacheOpKernels.h"

namespace mlir::llm {

LogicalResult checkAttention(PagedAttentionOp op) {
  llmir_cache_layout layout = cast<PagedKVCacheType>(op.getCache().getType()).getLayout();
  if (layout.arrangement == LLMIR_TOKEN_MAJOR_KEYS)
    return op.emitOpError("expected a cache with keys by channel or in pairs for the CPU's "
                          "attention, but got ")
           << op.getCache().getType();
  return success();
}

AttentionKernel getAttentionKernel(PagedAttentionOp op, MemRefType query, MemRefType output) {
  llmir_cache_layout layout = cast<PagedKVCacheType>(op.getCache().getType()).getLayout();
  AttentionKernel kernel{layout, op.getNumHeads(), op.getScale().convertToDouble(), query, output};
  if (std::optional<APFloat> cap = op.getSoftCap())
    kernel.softCap = cap->convertToDouble();
  if (std::optional<ArrayRef<float>> slopes = op.getAlibiSlopes())
    kernel.alibiSlopes.assign(slopes->begin(), slopes->end());
  kernel.sinkLogits = bool(op.getSinkLogits());
  kernel.treeMask = bool(op.getTreeMask());
  kernel.positions = bool(op.getPositions());
  return kernel;
}

} // namespace mlir::llm
