// Which functions and steps have CPU code. A module that passes is lowered; one that does not gets
// one diagnostic at the op at fault, with what was found and what was expected.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CPUOPCHECKS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CPUOPCHECKS_H

#include "CacheFunctionChecks.h"

namespace mlir::llm {

/// Success when convert-llm-to-cpu has code for every op of the functions.
LogicalResult checkFunctionsForCPU(ArrayRef<func::FuncOp> functions);

/// Success when a step has the arguments and results of one, known sizes, and only ops that have a
/// form in a step. What else planning may refuse is about weights and places.
LogicalResult checkStepForCPU(func::FuncOp step);

/// Emits that `op` has no form in a step.
LogicalResult emitNoStepForm(Operation *op);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CPUOPCHECKS_H
