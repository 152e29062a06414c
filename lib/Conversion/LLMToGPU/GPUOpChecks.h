// Which functions have GPU kernels for a target. A module that passes is lowered; one that does not
// gets one diagnostic at the op at fault, with what was found and what was expected.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_GPUOPCHECKS_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_GPUOPCHECKS_H

#include "GPUKernels.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"

namespace mlir::llm {

/// Success when convert-llm-to-gpu has kernels for every op of the functions.
LogicalResult checkFunctionsForGPU(ArrayRef<func::FuncOp> functions, const GPUTarget &target);

/// The kernel of an attention that checkFunctionsForGPU let pass.
AttentionDeviceKernel getAttentionKernel(PagedAttentionOp op);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_GPUOPCHECKS_H
