// Folds of what several ranks do: with one rank collectives give what they get and products are
// whole, and a sum that is divided and put together again is an all-reduce.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

/// On buffers the result is a place of its own.
OpFoldResult AllReduceOp::fold(FoldAdaptor) {
  bool same = getShards() == 1u && !hasBuffers(*this);
  return same ? OpFoldResult(getInput()) : OpFoldResult();
}

OpFoldResult AllGatherOp::fold(FoldAdaptor) {
  bool same =
      getShards() == 1 && getInput().getType() == getOutput().getType() && !hasBuffers(*this);
  return same ? OpFoldResult(getInput()) : OpFoldResult();
}

OpFoldResult ReduceScatterOp::fold(FoldAdaptor) {
  bool same =
      getShards() == 1 && getInput().getType() == getOutput().getType() && !hasBuffers(*this);
  return same ? OpFoldResult(getInput()) : OpFoldResult();
}

LogicalResult AllGatherOp::canonicalize(AllGatherOp op, PatternRewriter &rewriter) {
  auto scatter = op.getInput().getDefiningOp<ReduceScatterOp>();
  if (!scatter || hasBuffers(op) || !scatter->hasOneUse() ||
      scatter->getBlock() != op->getBlock() || scatter.getDim() != op.getDim() ||
      scatter.getShards() != op.getShards() || scatter.getStepContext() != op.getStepContext())
    return rewriter.notifyMatchFailure(op, "expected the only use of an equal reduce_scatter");
  rewriter.replaceOpWithNewOp<AllReduceOp>(op, scatter.getInput(), op.getStepContext(),
                                           op.getShardsAttr());
  rewriter.eraseOp(scatter);
  return success();
}

LogicalResult ShardedLinearOp::canonicalize(ShardedLinearOp op, PatternRewriter &rewriter) {
  if (op.getShards() == 1) {
    rewriter.replaceOpWithNewOp<LinearOp>(op, op->getResultTypes(), op.getInput(), op.getResidual(),
                                          op.getWeightAttr(), op.getBiasAttr(),
                                          op.getNormWeightAttr(), op.getNormEpsilonAttr(),
                                          op.getEpilogueAttr(), op.getActivationTypeAttr());
    return success();
  }
  if (!op.getActivationType() || !op.getActivationType()->isF32())
    return rewriter.notifyMatchFailure(op, "expected one shard or activations of f32");
  rewriter.modifyOpInPlace(op, [&] { op.removeActivationTypeAttr(); });
  return success();
}
