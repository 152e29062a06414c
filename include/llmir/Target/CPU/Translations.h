// The llmir-translate translations from LLVM-dialect modules to CPU code.

#ifndef LLMIR_TARGET_CPU_TRANSLATIONS_H
#define LLMIR_TARGET_CPU_TRANSLATIONS_H

namespace mlir::llm {

/// Registers `--llmir-to-object`, `--llmir-to-assembly` and `--llmir-to-llvmir` with their options
/// `--target-triple` and `--mcpu-features` (default: the host's features).
void registerCPUTranslations();

} // namespace mlir::llm

#endif // LLMIR_TARGET_CPU_TRANSLATIONS_H
