// From a module with kernels, or with `llm` ops, to PTX text and cubins for NVIDIA's GPUs.

#ifndef LLMIR_TARGET_CUDA_PTX_H
#define LLMIR_TARGET_CUDA_PTX_H

#include "llmir/Target/GPU/DeviceCode.h"

namespace mlir::llm {

/// The PTX of the module's kernels for `chip` (`sm_90`). Changes the module: its kernels are
/// lowered. Failures are diagnostics.
FailureOr<DeviceCode> generatePTX(ModuleOp module, llvm::StringRef chip);

/// The same, assembled by `ptxas`, which is looked for on the path, in CUDA's usual variables and
/// in /usr/local/cuda.
FailureOr<DeviceCode> generateCubin(ModuleOp module, llvm::StringRef chip);

/// Registers `--llmir-to-ptx` and `--llmir-to-cubin`.
void registerCUDATranslations();

} // namespace mlir::llm

#endif // LLMIR_TARGET_CUDA_PTX_H
