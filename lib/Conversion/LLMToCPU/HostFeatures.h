// The `features` option of the passes that generate kernels.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H

#include "llmir/Conversion/LLMToCPU/CPUTarget.h"
#include "mlir/IR/Operation.h"

namespace mlir::llm {

/// The target with these features, or with this machine's when there are none; an error on `op`
/// that names the missing feature.
FailureOr<CPUTarget> targetFromOption(Operation *op, ArrayRef<std::string> features);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_HOSTFEATURES_H
