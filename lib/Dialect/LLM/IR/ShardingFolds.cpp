// Folds of collectives: with one rank they give what they get.

#include "llmir/Dialect/LLM/IR/LLMOps.h"

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
