// Replaces kernels, launches and device memory of a module: see Passes.td. The kernels themselves
// are ThreadFunction.cpp's.

#include "ThreadFunction.h"

#include "llmir/Conversion/GPUToSIMT/Passes.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

namespace mlir::llm {

#define GEN_PASS_DEF_CONVERTGPUTOSIMTPASS
#include "llmir/Conversion/GPUToSIMT/Passes.h.inc"

namespace {
class ConvertGPUToSIMTPass : public impl::ConvertGPUToSIMTPassBase<ConvertGPUToSIMTPass>,
                             public CountingPass {
public:
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    if (subgroupSize <= 0) {
      emitError(module.getLoc(), "expected 'subgroup-size' to be positive, but got ")
          << subgroupSize.getValue();
      return signalPassFailure();
    }
    LLVMTypeConverter types(&getContext());
    SIMTRuntime runtime(module);
    if (failed(checkHostOps(module)) || failed(convertKernels(module, runtime, types)) ||
        failed(convertLaunches(module, runtime)))
      return signalPassFailure();
    convertMemory(module);
    for (auto kernels : llvm::make_early_inc_range(module.getOps<gpu::GPUModuleOp>()))
      kernels.erase();
    module->removeAttr(gpu::GPUDialect::getContainerModuleAttrName());
  }

private:
  using LaunchTarget = std::pair<StringAttr, StringAttr>; ///< Module, kernel.

  /// Ok when all of the host's gpu ops are synchronous and have a meaning.
  static LogicalResult checkHostOps(ModuleOp module) {
    WalkResult walked = module.walk<WalkOrder::PreOrder>([](Operation *op) {
      if (isa<gpu::GPUModuleOp>(op))
        return WalkResult::skip();
      if (!isa_and_nonnull<gpu::GPUDialect>(op->getDialect()))
        return WalkResult::advance();
      auto async = dyn_cast<gpu::AsyncOpInterface>(op);
      if (async && (async.getAsyncToken() || !async.getAsyncDependencies().empty())) {
        op->emitOpError("is expected to be synchronous to run on the CPU");
        return WalkResult::interrupt();
      }
      if (isa<gpu::LaunchFuncOp, gpu::AllocOp, gpu::DeallocOp, gpu::MemcpyOp, gpu::WaitOp>(op))
        return WalkResult::advance();
      op->emitOpError("has no meaning on the CPU; expected gpu.launch_func, gpu.alloc, "
                      "gpu.dealloc or gpu.memcpy");
      return WalkResult::interrupt();
    });
    return failure(walked.wasInterrupted());
  }

  LogicalResult convertKernels(ModuleOp module, SIMTRuntime &runtime,
                               const LLVMTypeConverter &types) {
    SIMTOptions options{subgroupSize, checks};
    for (auto kernels : module.getOps<gpu::GPUModuleOp>()) {
      RewritePatternSet patterns(&getContext());
      populateGpuAllReducePatterns(patterns);
      populateGpuLowerSubgroupReduceToShufflePatterns(patterns,
                                                      static_cast<unsigned>(subgroupSize));
      if (failed(applyPatternsGreedily(kernels, std::move(patterns))))
        return failure();
      for (Operation &op : *kernels.getBody()) {
        auto kernel = dyn_cast<gpu::GPUFuncOp>(op);
        if (!kernel || !kernel.isKernel())
          return op.emitOpError("has no meaning on the CPU; expected kernels alone in a "
                                "gpu.module");
        auto function = convertKernel(kernel, module, runtime, types, options);
        if (failed(function))
          return failure();
        functions.try_emplace(LaunchTarget(kernels.getNameAttr(), kernel.getNameAttr()), *function);
        count("kernels-converted");
      }
    }
    return success();
  }

  LogicalResult convertLaunches(ModuleOp module, SIMTRuntime &runtime) {
    SmallVector<gpu::LaunchFuncOp> launches;
    module.walk([&](gpu::LaunchFuncOp op) { launches.push_back(op); });
    for (gpu::LaunchFuncOp op : launches) {
      auto found = functions.find({op.getKernelModuleName(), op.getKernelName()});
      if (found == functions.end())
        return op.emitOpError("launches a kernel that is not in the module: ") << op.getKernel();
      convertLaunch(op, found->second, runtime);
    }
    return success();
  }

  void convertLaunch(gpu::LaunchFuncOp op, ThreadFunction &kernel, SIMTRuntime &runtime) {
    ImplicitLocOpBuilder b(op.getLoc(), op);
    auto pointer = LLVM::LLVMPointerType::get(&getContext());
    Value one = arith::ConstantOp::create(b, b.getI64IntegerAttr(1));
    Value arguments = LLVM::AllocaOp::create(b, pointer, kernel.arguments, one);
    for (auto [number, operand] : llvm::enumerate(op.getKernelOperands())) {
      Type stored = kernel.arguments.getBody()[number];
      Value value = operand;
      if (value.getType() != stored)
        value = UnrealizedConversionCastOp::create(b, TypeRange{stored}, ValueRange{value})
                    .getResult(0);
      Value at = LLVM::GEPOp::create(b, pointer, kernel.arguments, arguments,
                                     ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(number)});
      LLVM::StoreOp::create(b, value, at);
    }
    auto constant = func::ConstantOp::create(b, kernel.function.getFunctionType(),
                                             kernel.function.getSymName());
    Value body =
        UnrealizedConversionCastOp::create(b, TypeRange{pointer}, ValueRange{constant.getResult()})
            .getResult(0);
    gpu::KernelDim3 grid = op.getGridSizeOperandValues(), block = op.getBlockSizeOperandValues();
    runtime.emitLaunch(b, {kernel.name,
                           body,
                           arguments,
                           {grid.x, grid.y, grid.z},
                           {block.x, block.y, block.z},
                           subgroupSize,
                           kernel.workgroupBytes});
    op.erase();
    count("launches-converted");
  }

  /// Device memory is host memory.
  static void convertMemory(ModuleOp module) {
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) {
      if (isa<gpu::AllocOp, gpu::DeallocOp, gpu::MemcpyOp, gpu::WaitOp>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      ImplicitLocOpBuilder b(op->getLoc(), op);
      if (auto alloc = dyn_cast<gpu::AllocOp>(op))
        alloc.getMemref().replaceAllUsesWith(
            memref::AllocOp::create(b, alloc.getType(), alloc.getDynamicSizes()));
      else if (auto dealloc = dyn_cast<gpu::DeallocOp>(op))
        memref::DeallocOp::create(b, dealloc.getMemref());
      else if (auto copy = dyn_cast<gpu::MemcpyOp>(op))
        memref::CopyOp::create(b, copy.getSrc(), copy.getDst());
      op->erase();
    }
  }

  DenseMap<LaunchTarget, ThreadFunction> functions;
};
} // namespace

} // namespace mlir::llm
