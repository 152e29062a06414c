// What a function over a cache may hold, whatever the target: the forms of ops that conversion
// understands, and no op that it would leave behind. Each violation is one diagnostic at the op.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONCHECKS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONCHECKS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::llm {

/// Success when every function can be converted. `checkOp` is the target's part, for ops of the
/// dialect; it emits the diagnostic.
LogicalResult checkCacheFunctions(ArrayRef<func::FuncOp> functions,
                                  llvm::function_ref<LogicalResult(Operation *)> checkOp);

/// Success when the op is on tensors, of known numbers of heads and channels where it has any.
LogicalResult checkOpForm(Operation *op);

/// Whether the function is a model's step.
bool isStep(func::FuncOp function);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEFUNCTIONCHECKS_H
