// Folds of collectives: with one rank they give what they get, and a sum that is divided and put
// together again is an all-reduce.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

OpFoldResult AllReduceOp::fold(FoldAdaptor) {
  return getShards() == 1u ? getInput() : OpFoldResult();
}

OpFoldResult AllGatherOp::fold(FoldAdaptor) {
  bool same = getShards() == 1 && getInput().getType() == getOutput().getType();
  return same ? OpFoldResult(getInput()) : OpFoldResult();
}

OpFoldResult ReduceScatterOp::fold(FoldAdaptor) {
  bool same = getShards() == 1 && getInput().getType() == getOutput().getType();
  return same ? OpFoldResult(getInput()) : OpFoldResult();
}

LogicalResult AllGatherOp::canonicalize(AllGatherOp op, PatternRewriter &rewriter) {
  auto scatter = op.getInput().getDefiningOp<ReduceScatterOp>();
  if (!scatter || !scatter->hasOneUse() || scatter->getBlock() != op->getBlock() ||
      scatter.getDim() != op.getDim() || scatter.getShards() != op.getShards() ||
      scatter.getStepContext() != op.getStepContext())
    return rewriter.notifyMatchFailure(op, "expected the only use of an equal reduce_scatter");
  rewriter.replaceOpWithNewOp<AllReduceOp>(op, scatter.getInput(), op.getStepContext(),
                                           op.getShardsAttr());
  rewriter.eraseOp(scatter);
  return success();
}
