// Which functions over a cache have CPU code: see CPUOpChecks.h. Steps are StepChecks.cpp's.

#include "CPUOpChecks.h"

#include "CacheOpKernels.h"
#include "DenseAttention.h"

namespace mlir::llm {

static LogicalResult checkOp(Operation *op) {
  if (auto attention = dyn_cast<AttentionOp>(op))
    return checkDenseAttention(attention);
  if (!isa<AppendKVOp, BlockTableOp, PagedAttentionOp, ReserveKVOp, StoreKVOp>(op))
    return op->emitOpError("cannot be lowered outside a step; expected llm.append_kv, "
                           "llm.reserve_kv, llm.store_kv, llm.block_table, llm.paged_attention or "
                           "llm.attention");
  if (failed(checkOpForm(op)))
    return failure();
  if (auto attention = dyn_cast<PagedAttentionOp>(op))
    return checkAttention(attention);
  return success();
}

LogicalResult checkFunctionsForCPU(ArrayRef<func::FuncOp> functions) {
  return checkCacheFunctions(functions, checkOp);
}

} // namespace mlir::llm
