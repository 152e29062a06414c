// Canonicalisation of attention: masks and windows that hide nothing, slopes of zero. Paged
// attention's window and sinks stay: they state what the op expects of its cache.

#include "FoldHelpers.h"
#include "mlir/IR/Matchers.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

/// Whether a mask is known to show everything: all true, or zero added to each score.
static bool hidesNothing(Value mask) {
  DenseElementsAttr elements;
  if (!mask || !matchPattern(mask, m_Constant(&elements)) || !elements.isSplat())
    return false;
  if (elements.getElementType().isInteger(1))
    return elements.getSplatValue<bool>();
  return elements.getSplatValue<APFloat>().isZero();
}

/// Whether the window is known to be at least as wide as the keys.
static bool isWiderThanKeys(AttentionOp op) {
  if (!op.getWindow())
    return false;
  auto keys = cast<ShapedType>(op.getKeys().getType());
  int64_t numKeys = keys.getDimSize(keys.getRank() == 4 ? 1 : 0);
  return !ShapedType::isDynamic(numKeys) && *op.getWindow() >= numKeys;
}

/// Whether slopes are given and are all zero.
static bool areLevel(std::optional<ArrayRef<float>> slopes) {
  return slopes && llvm::all_of(*slopes, [](float slope) { return slope == 0; });
}

/// Whether there is one query, the last token of its sequence, from which causality hides nothing.
static bool hasOneQuery(AttentionOp op) {
  auto query = cast<ShapedType>(op.getQuery().getType());
  return query.getRank() == 4 && query.getDimSize(1) == 1;
}

LogicalResult AttentionOp::canonicalize(AttentionOp op, PatternRewriter &rewriter) {
  bool dropsMask = hidesNothing(op.getMask());
  bool dropsWindow = isWiderThanKeys(op);
  bool dropsCausal = op.getCausal() && hasOneQuery(op);
  bool dropsSlopes = areLevel(op.getAlibiSlopes());
  bool dropsSinks = op.getNumSinks() == 0u;
  if (!dropsMask && !dropsWindow && !dropsCausal && !dropsSlopes && !dropsSinks)
    return rewriter.notifyMatchFailure(op, "expected a mask, window or bias that changes nothing");
  rewriter.modifyOpInPlace(op, [&] {
    if (dropsMask)
      op.getMaskMutable().clear();
    if (dropsCausal)
      op.setCausal(false);
    if (dropsSlopes)
      op.removeAlibiSlopesAttr();
    if (dropsSinks)
      op.removeNumSinksAttr();
    if (dropsWindow) {
      op.removeWindowAttr();
      op.removeNumSinksAttr();
    }
  });
  return success();
}

OpFoldResult PagedAttentionOp::fold(FoldAdaptor adaptor) {
  bool changed = foldLayerIndex(*this, adaptor.getLayerIndex());
  if (areLevel(getAlibiSlopes())) {
    removeAlibiSlopesAttr();
    changed = true;
  }
  return changed ? OpFoldResult(getOutput()) : OpFoldResult();
}
