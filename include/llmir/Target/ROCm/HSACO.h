// From a module with kernels, or with `llm` ops, to code objects (HSACO) for AMD's GPUs.

#ifndef LLMIR_TARGET_ROCM_HSACO_H
#define LLMIR_TARGET_ROCM_HSACO_H

#include "llmir/Target/GPU/DeviceCode.h"

namespace mlir::llm {

/// The code object of the module's kernels for `chip` (`gfx942`), linked by lld 22. AMD's device
/// libraries are linked in where kernels call them; this project's do not. Changes the module: its
/// kernels are lowered. Failures are diagnostics.
FailureOr<DeviceCode> generateHSACO(ModuleOp module, llvm::StringRef chip);

/// Registers `--llmir-to-hsaco`.
void registerROCmTranslations();

} // namespace mlir::llm

#endif // LLMIR_TARGET_ROCM_HSACO_H
