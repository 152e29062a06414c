// What code generation for all GPUs shares: from a module to its kernels, ready to be converted to
// a vendor's dialect. Knows no vendor.

#ifndef LLMIR_TARGET_GPU_DEVICECODE_H
#define LLMIR_TARGET_GPU_DEVICECODE_H

#include "llmir/Conversion/LLMToGPU/GPUTarget.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

namespace mlir::llm {

/// Bytes of code, or text.
using DeviceCode = llvm::SmallVector<char, 0>;

/// Adds the dialects and translations that the generators of device code need.
void registerDeviceCodeDialects(DialectRegistry &registry);

/// Succeeds when LLVM knows `chip` for `triple`; otherwise a diagnostic that names `example`.
LogicalResult checkChip(ModuleOp module, llvm::StringRef triple, llvm::StringRef chip,
                        llvm::StringRef example);

/// Converts the module's `llm` ops to kernels (convert-llm-to-gpu for `target`), if it has any, and
/// returns the gpu.module that holds its kernels. A diagnostic when it has no kernel, or kernels in
/// several gpu.modules.
FailureOr<gpu::GPUModuleOp> prepareKernels(ModuleOp module, const GPUTarget &target);

/// Lowers a gpu.module to the LLVM dialect; `addConversion` adds the pass that knows the vendor's
/// threads, shuffles and barriers.
LogicalResult lowerKernels(gpu::GPUModuleOp kernels, int64_t subgroupSize,
                           llvm::function_ref<void(OpPassManager &)> addConversion);

/// Makes code of a lowered gpu.module with its target attribute, which must be the only one.
FailureOr<DeviceCode> serializeKernels(gpu::GPUModuleOp kernels, Attribute target,
                                       gpu::CompilationTarget format, llvm::StringRef toolkit = {});

/// The value of `--gpu-chip`, or `otherwise` when it is not given. The first call makes the option.
llvm::StringRef gpuChipOption(llvm::StringRef otherwise);

} // namespace mlir::llm

#endif // LLMIR_TARGET_GPU_DEVICECODE_H
