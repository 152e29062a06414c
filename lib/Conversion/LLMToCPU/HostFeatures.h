// The `features` and `emulate` options of the passes that generate kernels.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"
#include "mlir/IR/Operation.h"

namespace mlir::llm {

/// The target with these features, or with this machine's when there are none; units of `emulated`
/// features that it lacks are replaced by arithmetic. An error on `op` names a missing feature.
/// Units of `emulated` features are replaced by arithmetic.
FailureOr<CPUTarget> targetFromOption(Operation *op, ArrayRef<std::string> features,
                                      ArrayRef<std::string> emulated);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H
