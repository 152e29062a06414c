// The passes of Passes.td: their constructors, options and registration.

#ifndef LLMIR_CONVERSION_LLMTOGPU_PASSES_H
#define LLMIR_CONVERSION_LLMTOGPU_PASSES_H

#include "llmir/Conversion/LLMToGPU/GPUTarget.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace mlir::llm {

#define GEN_PASS_DECL
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

/// Appends the passes that make kernels, and host code that launches them, of a module in llm IR.
/// What they leave is verified: no op but of the dialects that code generators for GPUs take.
void addGPUPasses(OpPassManager &manager, const GPUTarget &target);

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOGPU_PASSES_H
