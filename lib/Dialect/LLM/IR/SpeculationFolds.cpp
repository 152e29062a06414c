// Folds of speculative decoding: forks, rollbacks and commits that change nothing.

#include "llmir/Dialect/LLM/IR/LLMOps.h"

using namespace mlir;
using namespace mlir::llm;

/// Whether there is no sequence in a list of them.
static bool isEmpty(Value sequences) {
  return cast<ShapedType>(sequences.getType()).getDimSize(0) == 0;
}

OpFoldResult ForkOp::fold(FoldAdaptor) {
  return isEmpty(getParents()) ? getCache() : OpFoldResult();
}

/// All drafts of a chain are accepted: nothing is dropped, nothing moves.
OpFoldResult CommitOp::fold(FoldAdaptor) {
  if (isEmpty(getSeqIds()) || (!getPath() && getAccepted() == getDrafted()))
    return getCache();
  return {};
}

OpFoldResult RollbackOp::fold(FoldAdaptor) {
  if (isEmpty(getSeqIds()))
    return getCache();
  // What buffers hold may have changed since.
  if (hasBuffers(*this))
    return {};
  // To the lengths that the sequences have.
  if (auto lengths = getLengths().getDefiningOp<SequenceLengthsOp>())
    if (lengths.getCache() == getCache() && lengths.getSeqIds() == getSeqIds())
      return getCache();
  // Once more to the same lengths.
  if (auto rollback = getCache().getDefiningOp<RollbackOp>())
    if (rollback.getSeqIds() == getSeqIds() && rollback.getLengths() == getLengths())
      return getCache();
  return {};
}
