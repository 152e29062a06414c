// Canonicalisation of the ops on caches: what changes nothing is not done, a layer that is known
// becomes an attribute, and what only changes a cache that ends next is dropped.

#include "FoldHelpers.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
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

LogicalResult AppendKVOp::fold(FoldAdaptor adaptor, SmallVectorImpl<OpFoldResult> &) {
  return success(foldLayerIndex(*this, adaptor.getLayerIndex()));
}

/// Whether a list of tokens or sequences is known to be empty.
static bool isEmpty(Value list, int64_t dim = 0) {
  return cast<ShapedType>(list.getType()).getDimSize(dim) == 0;
}

/// Nothing is appended to nobody. (No tokens for somebody make a sequence known, and stay.)
LogicalResult AppendKVOp::canonicalize(AppendKVOp op, PatternRewriter &rewriter) {
  auto blocks = dyn_cast<RankedTensorType>(op.getBlockIndices().getType());
  if (!isEmpty(op.getSeqIds()) || !blocks || !blocks.hasStaticShape())
    return rewriter.notifyMatchFailure(op, "expected no sequences");
  Value none = arith::ConstantOp::create(rewriter, op.getLoc(),
                                         DenseIntElementsAttr::get(blocks, ArrayRef<int32_t>()));
  rewriter.replaceOp(op, {op.getCache(), none});
  return success();
}

/// A store of no tokens is the cache as it was.
OpFoldResult StoreKVOp::fold(FoldAdaptor adaptor) {
  ArrayRef<int64_t> keys = cast<ShapedType>(getKeys().getType()).getShape();
  if (isEmpty(getSlots()) || llvm::is_contained(keys.drop_back(2), 0))
    return getCache();
  return foldLayerIndex(*this, adaptor.getLayerIndex()) ? OpFoldResult(getNewCache())
                                                        : OpFoldResult();
}

LogicalResult LookupKVOp::fold(FoldAdaptor adaptor, SmallVectorImpl<OpFoldResult> &) {
  return success(foldLayerIndex(*this, adaptor.getLayerIndex()));
}

/// Branches that end with nothing between are not started.
LogicalResult FreeSequencesOp::canonicalize(FreeSequencesOp op, PatternRewriter &rewriter) {
  if (isEmpty(op.getSeqIds())) {
    rewriter.replaceOp(op, op.getCache());
    return success();
  }
  auto fork = op.getCache().getDefiningOp<ForkOp>();
  if (!fork || hasBuffers(op) || !fork->hasOneUse() || fork.getChildren() != op.getSeqIds())
    return rewriter.notifyMatchFailure(op, "expected the only use of a fork, of its children");
  if (fork->getBlock() != op->getBlock())
    return rewriter.notifyMatchFailure(op, "expected the fork in the same block");
  rewriter.replaceOp(op, fork.getCache());
  rewriter.eraseOp(fork);
  return success();
}
