// What every tool over IR registers: all dialects and passes, MLIR's and this project's.

#ifndef LLMIR_TOOLS_REGISTRATION_H
#define LLMIR_TOOLS_REGISTRATION_H

#include "mlir/IR/DialectRegistry.h"

namespace mlir::llm {

/// Adds all dialects, with their extensions, to `registry`.
void registerDialects(DialectRegistry &registry);

/// Registers all passes and pipelines. Call it once in a program.
void registerPasses();

/// Leaves the options that LLVM's code generator registers before main, hundreds of them, out of
/// `--help`; `--help-hidden` shows them. Call it before any other option is registered.
void hideCodeGeneratorOptions();

} // namespace mlir::llm

#endif // LLMIR_TOOLS_REGISTRATION_H
