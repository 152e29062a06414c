// Canonicalisation of the ops that end caches and sequences.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

/// A cache that is made and given back with nothing between is not made.
LogicalResult FreeKVCacheOp::canonicalize(FreeKVCacheOp op, PatternRewriter &rewriter) {
  auto create = op.getCache().getDefiningOp<CreateKVCacheOp>();
  if (!create || !create->hasOneUse())
    return rewriter.notifyMatchFailure(op, "expected the only use of a new cache");
  rewriter.eraseOp(op);
  rewriter.eraseOp(create);
  return success();
}

/// Branches that end with nothing between are not started.
LogicalResult FreeSequencesOp::canonicalize(FreeSequencesOp op, PatternRewriter &rewriter) {
  auto fork = op.getCache().getDefiningOp<ForkOp>();
  if (!fork || !fork->hasOneUse() || fork.getChildren() != op.getSeqIds())
    return rewriter.notifyMatchFailure(op, "expected the only use of a fork, of its children");
  // The cache is consumed where the fork stood; nothing may consume it between the two.
  if (fork->getBlock() != op->getBlock())
    return rewriter.notifyMatchFailure(op, "expected the fork in the same block");
  rewriter.replaceOp(op, fork.getCache());
  rewriter.eraseOp(fork);
  return success();
}
