// Where the values of a step lie in its workspace: buffers of one row a token, placed by first fit
// and given back when their last reader has run.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_WORKSPACEPLANNER_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_WORKSPACEPLANNER_H

#include "mlir/Support/LLVM.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace mlir::llm {

/// Assigns byte ranges of a row ([offset, offset + bytes)); all sizes are multiples of 64, so that
/// offset times the number of tokens is aligned.
class WorkspacePlanner {
public:
  /// The lowest free range of `bytes` (rounded up to 64).
  int64_t allocate(int64_t bytes);
  /// Gives a range back at the next flush.
  void release(int64_t offset);
  /// Makes released ranges free: call it where a barrier separates their readers from what follows.
  void flush();
  /// Bytes that were ever in use.
  int64_t highWater() const { return top; }

private:
  struct Range {
    int64_t offset, bytes;
  };
  SmallVector<Range> used; ///< By offset.
  SmallVector<int64_t> released;
  int64_t top = 0;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_WORKSPACEPLANNER_H
