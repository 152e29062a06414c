// Folds of the ops on caches, and canonicalisation of those that end caches and sequences.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

/// What only changes a cache that ends next is not done, and a cache that is made and given back
/// with nothing between is not made.
LogicalResult FreeKVCacheOp::canonicalize(FreeKVCacheOp op, PatternRewriter &rewriter) {
  Operation *definition = op.getCache().getDefiningOp();
  if (!definition || definition->getBlock() != op->getBlock() || !definition->hasOneUse())
    return rewriter.notifyMatchFailure(op, "expected the only use of a cache of the same block");
  if (isa<CreateKVCacheOp>(definition)) {
    rewriter.eraseOp(op);
    rewriter.eraseOp(definition);
    return success();
  }
  auto consumer = dyn_cast<CacheConsumerOpInterface>(definition);
  if (!consumer)
    return rewriter.notifyMatchFailure(op, "expected a new or a changed cache");
  Value before = consumer.getConsumedCache().get();
  rewriter.modifyOpInPlace(op, [&] { op.getCacheMutable().assign(before); });
  rewriter.eraseOp(definition);
  return success();
}

/// Branches that end with nothing between are not started.
LogicalResult FreeSequencesOp::canonicalize(FreeSequencesOp op, PatternRewriter &rewriter) {
  auto fork = op.getCache().getDefiningOp<ForkOp>();
  if (!fork || !fork->hasOneUse() || fork.getChildren() != op.getSeqIds())
    return rewriter.notifyMatchFailure(op, "expected the only use of a fork, of its children");
  if (fork->getBlock() != op->getBlock())
    return rewriter.notifyMatchFailure(op, "expected the fork in the same block");
  rewriter.replaceOp(op, fork.getCache());
  rewriter.eraseOp(fork);
  return success();
}

/// A store of no tokens is the cache as it was.
OpFoldResult StoreKVOp::fold(FoldAdaptor) {
  ArrayRef<int64_t> shape = cast<ShapedType>(getKeys().getType()).getShape();
  if (llvm::is_contained(shape.drop_back(2), 0))
    return getCache();
  return {};
}
