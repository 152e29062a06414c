// The passes of Passes.td: their constructors, options and registration.

#ifndef LLMIR_CONVERSION_LLMTOCPU_PASSES_H
#define LLMIR_CONVERSION_LLMTOCPU_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>
#include <string>

namespace mlir::llm {

#define GEN_PASS_DECL
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Conversion/LLMToCPU/Passes.h.inc"

} // namespace mlir::llm

#endif // LLMIR_CONVERSION_LLMTOCPU_PASSES_H
