// Which functions have GPU kernels: see GPUOpChecks.h.

#include "GPUOpChecks.h"

#include "../LLMToCPU/CacheFunctionChecks.h"

namespace mlir::llm {

AttentionDeviceKernel getAttentionKernel(PagedAttentionOp op) {
  AttentionDeviceKernel kernel{op.getCache().getType().getLayout(), op.getNumHeads(),
                               op.getScale().convertToDouble(),
                               cast<ShapedType>(op.getQuery().getType()).getElementType()};
  if (std::optional<APFloat> cap = op.getSoftCap())
    kernel.softCap = cap->convertToDouble();
  kernel.alibiSlopes = op.getAlibiSlopes().has_value();
  kernel.sinkLogits = bool(op.getSinkLogits());
  kernel.treeMask = bool(op.getTreeMask());
  return kernel;
}

static LogicalResult checkAttention(PagedAttentionOp op, const GPUTarget &target) {
  if (op.getPositions())
    return op.emitOpError(
               "expected no positions for a GPU's attention, which takes a token's place "
               "in the cache as its position, but got ")
           << op.getPositions().getType();
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
  if (!isa<AppendKVOp, BlockTableOp, PagedAttentionOp, ReserveKVOp, StoreKVOp>(op))
    return op->emitOpError("cannot be lowered to a GPU; expected llm.append_kv, llm.reserve_kv, "
                           "llm.store_kv, llm.block_table, llm.paged_attention or llm.rms_norm");
  if (failed(checkOpForm(op)))
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
