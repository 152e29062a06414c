// Canonicalisation of the transformer ops.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

/// Scaling by one changes no angle.
LogicalResult RopeOp::canonicalize(RopeOp op, PatternRewriter &rewriter) {
  std::optional<RopeScalingAttr> scaling = op.getScaling();
  if (!scaling || scaling->getFactor() != 1 || scaling->getMagnitude() != 1)
    return rewriter.notifyMatchFailure(op, "expected scaling by one");
  rewriter.modifyOpInPlace(op, [&] { op.removeScalingAttr(); });
  return success();
}

/// One token to choose from leaves nothing to chance.
LogicalResult SampleOp::canonicalize(SampleOp op, PatternRewriter &rewriter) {
  if (!op.getUniforms() || op.getTopK() != 1u)
    return rewriter.notifyMatchFailure(op, "expected a choice from one token");
  rewriter.replaceOpWithNewOp<SampleOp>(op, op.getTokens().getType(), op.getLogits(),
                                        /*uniforms=*/Value(), /*temperature=*/FloatAttr(),
                                        /*top_k=*/IntegerAttr(), /*top_p=*/FloatAttr(),
                                        /*min_p=*/FloatAttr());
  return success();
}
