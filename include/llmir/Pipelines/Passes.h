// The passes of Passes.td: their constructors and registration.

#ifndef LLMIR_PIPELINES_PASSES_H
#define LLMIR_PIPELINES_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace mlir::llm {

#define GEN_PASS_DECL
#include "llmir/Pipelines/Passes.h.inc"

#define GEN_PASS_REGISTRATION
#include "llmir/Pipelines/Passes.h.inc"

} // namespace mlir::llm

#endif // LLMIR_PIPELINES_PASSES_H
