// Folds of speculative decoding: rollbacks and commits that change nothing.

#include "llmir/Dialect/LLM/IR/LLMOps.h"

using namespace mlir;
using namespace mlir::llm;

/// All drafts of a chain are accepted: nothing is dropped, nothing moves.
OpFoldResult CommitOp::fold(FoldAdaptor) {
  if (!getPath() && getAccepted() == getDrafted())
    return getCache();
  return {};
}

OpFoldResult RollbackOp::fold(FoldAdaptor) {
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
