// ThreadFunction: a kernel as a function of the host that runs one thread.

#ifndef LLMIR_LIB_CONVERSION_GPUTOSIMT_THREADFUNCTION_H
#define LLMIR_LIB_CONVERSION_GPUTOSIMT_THREADFUNCTION_H

#include "SIMTRuntime.h"

#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::llm {

/// How kernels are converted.
struct SIMTOptions {
  int64_t subgroupSize;
  bool checks;
};

/// A kernel's function, and what its launches need to know.
struct ThreadFunction {
  func::FuncOp function; ///< (arguments: !llvm.ptr, thread: !llvm.ptr).
  LLVM::LLVMStructType arguments;
  std::string name;
  int64_t workgroupBytes;
};

/// Moves the body of `kernel` to a function at the end of the module and replaces what is a GPU's
/// in it. A diagnostic for an op without a meaning on the CPU; the module is then of no use.
FailureOr<ThreadFunction> convertKernel(gpu::GPUFuncOp kernel, ModuleOp module,
                                        SIMTRuntime &runtime, const LLVMTypeConverter &types,
                                        const SIMTOptions &options);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_GPUTOSIMT_THREADFUNCTION_H
