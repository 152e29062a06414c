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

/// f32 is the type in which activations are multiplied unless another is given.
template <typename OpTy>
static LogicalResult dropDefaultActivations(OpTy op, PatternRewriter &rewriter) {
  if (!op.getActivationType() || !op.getActivationType()->isF32())
    return rewriter.notifyMatchFailure(op, "expected activations of the default type");
  rewriter.modifyOpInPlace(op, [&] { op.removeActivationTypeAttr(); });
  return success();
}

LogicalResult LinearOp::canonicalize(LinearOp op, PatternRewriter &rewriter) {
  return dropDefaultActivations(op, rewriter);
}

LogicalResult LogitsOp::canonicalize(LogitsOp op, PatternRewriter &rewriter) {
  return dropDefaultActivations(op, rewriter);
}

LogicalResult MoEOp::canonicalize(MoEOp op, PatternRewriter &rewriter) {
  if (!op.getScale() || !op.getScale()->isExactlyValue(1))
    return dropDefaultActivations(op, rewriter);
  rewriter.modifyOpInPlace(op, [&] { op.removeScaleAttr(); });
  return success();
}

/// Settings that leave every token and its probability as they are.
static LogicalResult dropNeutralSettings(SampleOp op, PatternRewriter &rewriter) {
  int64_t vocabulary = cast<ShapedType>(op.getLogits().getType()).getDimSize(1);
  auto isExactly = [](std::optional<APFloat> setting, double value) {
    return setting && setting->isExactlyValue(value);
  };
  bool dropsTemperature = isExactly(op.getTemperature(), 1);
  bool dropsTopK =
      op.getTopK() && !ShapedType::isDynamic(vocabulary) && *op.getTopK() >= vocabulary;
  bool dropsTopP = isExactly(op.getTopP(), 1);
  bool dropsMinP = isExactly(op.getMinP(), 0);
  if (!dropsTemperature && !dropsTopK && !dropsTopP && !dropsMinP)
    return rewriter.notifyMatchFailure(op, "expected a setting that changes nothing");
  rewriter.modifyOpInPlace(op, [&] {
    if (dropsTemperature)
      op.removeTemperatureAttr();
    if (dropsTopK)
      op.removeTopKAttr();
    if (dropsTopP)
      op.removeTopPAttr();
    if (dropsMinP)
      op.removeMinPAttr();
  });
  return success();
}

/// One token to choose from leaves nothing to chance.
LogicalResult SampleOp::canonicalize(SampleOp op, PatternRewriter &rewriter) {
  if (!op.getUniforms() || op.getTopK() != 1u)
    return dropNeutralSettings(op, rewriter);
  rewriter.replaceOpWithNewOp<SampleOp>(op, op.getTokens().getType(), op.getLogits(),
                                        /*uniforms=*/Value(), /*temperature=*/FloatAttr(),
                                        /*top_k=*/IntegerAttr(), /*top_p=*/FloatAttr(),
                                        /*min_p=*/FloatAttr());
  return success();
}
