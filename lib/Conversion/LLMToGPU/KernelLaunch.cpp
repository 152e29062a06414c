// Launching kernels: see KernelLaunch.h.

#include "KernelLaunch.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace mlir::llm {

Value KernelLaunch::deviceBuffer(MemRefType type, Value size) {
  auto buffer = gpu::AllocOp::create(b, type, /*asyncToken=*/Type(),
                                     /*asyncDependencies=*/ValueRange(), ValueRange{size},
                                     /*symbolOperands=*/ValueRange());
  allocated.push_back(buffer.getMemref());
  return buffer.getMemref();
}

Value KernelLaunch::deviceResult(Value host) {
  Value size = memref::DimOp::create(b, host, 0);
  Value device = deviceBuffer(cast<MemRefType>(host.getType()), size);
  results.emplace_back(host, device);
  return device;
}

static void copy(KernelBuilder &b, Value target, Value source) {
  gpu::MemcpyOp::create(b, /*asyncToken=*/Type(), /*asyncDependencies=*/ValueRange(), target,
                        source);
}

Value KernelLaunch::toDevice(Value host) {
  Value size = memref::DimOp::create(b, host, 0);
  Value device = deviceBuffer(cast<MemRefType>(host.getType()), size);
  copy(b, device, host);
  return device;
}

void KernelLaunch::launch(gpu::GPUFuncOp kernel, Grid grid, ValueRange arguments) {
  int64_t threads = kernel.getKnownBlockSizeAttr().asArrayRef().front();
  Value one = b.index(1);
  gpu::LaunchFuncOp::create(b, kernel, gpu::KernelDim3{grid.x, grid.y, grid.z},
                            gpu::KernelDim3{b.index(threads), one, one},
                            /*dynamicSharedMemorySize=*/Value(), arguments);
}

void KernelLaunch::finish() {
  for (auto [host, device] : results)
    copy(b, host, device);
  for (Value buffer : allocated)
    gpu::DeallocOp::create(b, /*asyncToken=*/Type(), /*asyncDependencies=*/ValueRange(), buffer);
}

} // namespace mlir::llm
