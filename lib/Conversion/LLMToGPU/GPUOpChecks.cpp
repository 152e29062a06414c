// Which functions have GPU kernels: see GPUOpChecks.h.

#include "GPUOpChecks.h"

#include "../LLMToCPU/CacheFunctionChecks.h"

namespace mlir::llm {

AttentionDeviceKernel getAttentionKernel(PagedAttentionOp op) {
  return {op.getCache().getType().getLayout(), op.getNumHeads(), op.getScale().convertToDouble(),
          cast<ShapedType>(op.getQuery().getType()).getElementType()};
}

/// What the kernels read and write of a cache.
static LogicalResult checkCache(Operation *op, PagedKVCacheType cache) {
  llmir_cache_layout layout = cache.getLayout();
  if (layout.arrangement == LLMIR_PAIRS)
    return op->emitOpError("expected a cache with channel_major or token_major keys for a GPU, but "
                           "got ")
           << cache;
  if (layout.key_type > LLMIR_BF16 || layout.value_type > LLMIR_BF16)
    return op->emitOpError("expected a cache of f32, f16 or bf16 for a GPU, but got ") << cache;
  return success();
}

static LogicalResult checkAttention(PagedAttentionOp op, const GPUTarget &target) {
  PagedKVCacheType cache = op.getCache().getType();
  auto refuse = [&](StringRef what) {
    return op.emitOpError("expected no ")
           << what << " on a GPU, whose kernel has none, but got one";
  };
  if (cache.getWindow() > 0)
    return refuse("window");
  if (op.getSoftCap())
    return refuse("soft_cap");
  if (op.getAlibiSlopes())
    return refuse("alibi_slopes");
  if (op.getSinkLogits())
    return refuse("sink_logits");
  if (op.getTreeMask())
    return refuse("tree_mask");
  if (op.getPositions())
    return refuse("positions");
  int64_t bytes = getWorkgroupBytes(target, getAttentionKernel(op));
  if (bytes > target.workgroupMemory)
    return op.emitOpError("expected a target with ")
           << bytes << " bytes of workgroup memory, but got " << target.workgroupMemory;
  return success();
}

static LogicalResult checkNorm(RMSNormOp op) {
  if (ShapedType::isDynamic(getNumFeatures(cast<RankedTensorType>(op.getInput().getType()))))
    return op.emitOpError("expected a known number of features for a GPU, but got ")
           << op.getInput().getType();
  return success();
}

static LogicalResult checkOp(Operation *op, const GPUTarget &target) {
  if (auto norm = dyn_cast<RMSNormOp>(op))
    return checkNorm(norm);
  if (!isa<AppendKVOp, BlockTableOp, PagedAttentionOp, StoreKVOp>(op))
    return op->emitOpError("cannot be lowered to a GPU; expected llm.append_kv, llm.store_kv, "
                           "llm.block_table, llm.paged_attention or llm.rms_norm");
  if (failed(checkOpForm(op)))
    return failure();
  if (!isa<BlockTableOp>(op))
    for (Value operand : op->getOperands())
      if (auto cache = dyn_cast<PagedKVCacheType>(operand.getType()))
        if (failed(checkCache(op, cache)))
          return failure();
  if (auto attention = dyn_cast<PagedAttentionOp>(op))
    return checkAttention(attention, target);
  return success();
}

LogicalResult checkFunctionsForGPU(ArrayRef<func::FuncOp> functions, const GPUTarget &target) {
  for (func::FuncOp function : functions)
    if (isStep(function))
      return function.emitOpError("expected functions that manage a cache themselves for a GPU, "
                                  "but got a step");
  return checkCacheFunctions(functions, [&](Operation *op) { return checkOp(op, target); });
}

} // namespace mlir::llm
