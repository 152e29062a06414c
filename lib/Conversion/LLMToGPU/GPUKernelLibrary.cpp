// Generating each kernel once: see GPUKernelLibrary.h.

#include "GPUKernelLibrary.h"

#include "mlir/Dialect/LLVMIR/LLVMAttrs.h"

namespace mlir::llm {

static constexpr StringLiteral kKernelModule = "llm_kernels";

gpu::GPUModuleOp GPUKernelLibrary::getKernelModule() {
  if (auto kernels = module.lookupSymbol<gpu::GPUModuleOp>(kKernelModule))
    return kernels;
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), UnitAttr::get(getContext()));
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  return gpu::GPUModuleOp::create(builder, module.getLoc(), kKernelModule);
}

gpu::GPUFuncOp GPUKernelLibrary::getOrCreateKernel(StringRef name, TypeRange arguments,
                                                   int64_t threads, KernelBody body) {
  gpu::GPUModuleOp kernels = getKernelModule();
  if (auto existing = kernels.lookupSymbol<gpu::GPUFuncOp>(name))
    return existing;
  OpBuilder builder = OpBuilder::atBlockEnd(kernels.getBody());
  auto type = FunctionType::get(getContext(), SmallVector<Type>(arguments), {});
  auto kernel = gpu::GPUFuncOp::create(builder, module.getLoc(), name, type);
  kernel->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  kernel.setKnownBlockSizeAttr(builder.getDenseI32ArrayAttr({static_cast<int32_t>(threads), 1, 1}));
  GPUKernelBuilder emitter(kernel, target, threads);
  body(emitter, ValueRange(kernel.getArguments()).take_front(arguments.size()));
  gpu::ReturnOp::create(emitter);
  return kernel;
}

func::FuncOp GPUKernelLibrary::getOrCreateHostFunction(StringRef name, TypeRange arguments,
                                                       HostBody body) {
  if (auto existing = module.lookupSymbol<func::FuncOp>(name))
    return existing;
  OpBuilder builder = OpBuilder::atBlockEnd(module.getBody());
  auto type = FunctionType::get(getContext(), SmallVector<Type>(arguments), {});
  auto function = func::FuncOp::create(builder, module.getLoc(), name, type);
  function.setPrivate();
  function->setAttr("llvm.linkage",
                    LLVM::LinkageAttr::get(getContext(), LLVM::linkage::Linkage::Internal));
  KernelBuilder emitter(module.getLoc(), getContext());
  emitter.setInsertionPointToStart(function.addEntryBlock());
  body(emitter, function.getArguments());
  func::ReturnOp::create(emitter);
  return function;
}

MemRefType GPUKernelLibrary::vectorType(Type element) const {
  return MemRefType::get({ShapedType::kDynamic}, element);
}
MemRefType GPUKernelLibrary::bytesType() const {
  return vectorType(IntegerType::get(getContext(), 8));
}
MemRefType GPUKernelLibrary::intsType() const {
  return vectorType(IntegerType::get(getContext(), 32));
}
MemRefType GPUKernelLibrary::floatsType() const {
  return vectorType(Float32Type::get(getContext()));
}

} // namespace mlir::llm
