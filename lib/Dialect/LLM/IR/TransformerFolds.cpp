// Canonicalisation of the transformer ops.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;
using namespace mlir::llm;

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
