// Folds of quantisation. The other order, dequantise after quantise, rounds and stays.

#include "llmir/Dialect/LLM/IR/LLMOps.h"

using namespace mlir;
using namespace mlir::llm;

/// What was dequantised is quantised as the same type.
OpFoldResult QuantizeOp::fold(FoldAdaptor) {
  auto dequantize = getInput().getDefiningOp<DequantizeOp>();
  if (dequantize && !hasBuffers(dequantize) &&
      dequantize.getInput().getType() == getOutput().getType())
    return dequantize.getInput();
  return {};
}
