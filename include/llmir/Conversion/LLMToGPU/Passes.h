// The passes of Passes.td: their constructors, options and registration.

#ifndef LLMIR_CONVERSION_LLMTOGPU_PASSES_H
#define LLMIR_CONVERSION_LLMTOGPU_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace mlir::llm {

#define GEN_PASS_DECL
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Conversion/LLMToGPU/Passes.h.inc"

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOGPU_PASSES_H
