// KernelLaunch: what a launch function does around its kernels: device buffers, copies, launches.
// Synchronous gpu ops; gpu-async-region makes streams of them.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_KERNELLAUNCH_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_KERNELLAUNCH_H

#include "GPUKernelLibrary.h"

namespace mlir::llm {

class KernelLaunch {
public:
  explicit KernelLaunch(KernelBuilder &builder) : b(builder) {}

  /// A device copy of a host memref<?xT>.
  Value toDevice(Value host);
  /// A device buffer like a host memref<?xT>, whose content `finish` copies back.
  Value deviceResult(Value host);
  /// A device buffer of `size` (index) elements.
  Value deviceBuffer(MemRefType type, Value size);

  struct Grid {
    Value x, y, z; ///< Blocks, index. None may be zero when the launch runs.
  };
  void launch(gpu::GPUFuncOp kernel, Grid grid, ValueRange arguments);

  /// Copies results back and frees what was allocated.
  void finish();

private:
  KernelBuilder &b;
  SmallVector<Value> allocated;
  SmallVector<std::pair<Value, Value>> results; ///< Host, device.
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_KERNELLAUNCH_H
