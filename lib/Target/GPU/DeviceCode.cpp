// From a module to kernels in the LLVM dialect, and to code: see DeviceCode.h.

#include "llmir/Target/GPU/DeviceCode.h"

#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/GPU/IR/CompilationInterfaces.h"
#include "mlir/Dialect/GPU/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/MC/MCSubtargetInfo.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/TargetParser/Triple.h"

namespace mlir::llm {

void registerDeviceCodeDialects(DialectRegistry &registry) {
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<LLMDialect>();
  registerAllGPUToLLVMIRTranslations(registry);
}

LogicalResult checkChip(ModuleOp module, StringRef triple, StringRef chip, StringRef example) {
  initializeCodeGeneration();
  std::string error;
  llvm::Triple parsed(triple);
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(parsed, error);
  if (!target)
    return emitError(module.getLoc(), "no code generator for the triple '")
           << triple << "': " << error;
  std::unique_ptr<llvm::MCSubtargetInfo> info(target->createMCSubtargetInfo(parsed, "", ""));
  if (!info->isCPUStringValid(chip))
    return emitError(module.getLoc(), "unknown GPU '")
           << chip << "'; expected a chip of " << triple << ", such as " << example;
  return success();
}

/// Kernels of the module; several gpu.modules may hold them.
static SmallVector<gpu::GPUModuleOp> findKernelModules(ModuleOp module) {
  SmallVector<gpu::GPUModuleOp> found;
  for (auto kernels : module.getOps<gpu::GPUModuleOp>())
    if (llvm::any_of(kernels.getOps<gpu::GPUFuncOp>(),
                     [](gpu::GPUFuncOp function) { return function.isKernel(); }))
      found.push_back(kernels);
  return found;
}

FailureOr<gpu::GPUModuleOp> prepareKernels(ModuleOp module, const GPUTarget &target) {
  PassManager manager(module.getContext());
  addGPUPasses(manager, target);
  if (failed(manager.run(module)))
    return failure();
  SmallVector<gpu::GPUModuleOp> found = findKernelModules(module);
  if (found.empty())
    return emitError(module.getLoc(),
                     "expected a kernel (a gpu.func in a gpu.module, or llm ops that become "
                     "one), but found none");
  if (found.size() > 1)
    return found[1].emitError("expected one gpu.module with kernels, but got ") << found.size();
  return found.front();
}

/// Reductions over a subgroup or a block as shuffles.
static LogicalResult lowerReductions(gpu::GPUModuleOp kernels, int64_t subgroupSize) {
  RewritePatternSet patterns(kernels.getContext());
  populateGpuAllReducePatterns(patterns);
  populateGpuLowerSubgroupReduceToShufflePatterns(patterns, static_cast<unsigned>(subgroupSize));
  return applyPatternsGreedily(kernels, std::move(patterns));
}

LogicalResult lowerKernels(gpu::GPUModuleOp kernels, int64_t subgroupSize,
                           llvm::function_ref<void(OpPassManager &)> addConversion) {
  if (failed(lowerReductions(kernels, subgroupSize)))
    return failure();
  PassManager manager(kernels.getContext(), gpu::GPUModuleOp::getOperationName());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createConvertVectorToLLVMPass());
  addConversion(manager);
  manager.addPass(createReconcileUnrealizedCastsPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  return manager.run(kernels);
}

FailureOr<DeviceCode> serializeKernels(gpu::GPUModuleOp kernels, Attribute target,
                                       gpu::CompilationTarget format, StringRef toolkit) {
  auto interface = dyn_cast<gpu::TargetAttrInterface>(target);
  if (!interface)
    return kernels.emitError("no code generator is registered for ") << target;
  kernels.setTargetsAttr(ArrayAttr::get(kernels.getContext(), {target}));
  gpu::TargetOptions options(toolkit, /*librariesToLink=*/{}, /*cmdOptions=*/{},
                             /*elfSection=*/{}, format);
  std::optional<DeviceCode> code = interface.serializeToObject(kernels, options);
  // It has said why.
  if (!code)
    return failure();
  return std::move(*code);
}

StringRef gpuChipOption(StringRef otherwise) {
  static llvm::cl::opt<std::string> chip(
      "gpu-chip",
      llvm::cl::desc("GPU to generate code for (default: sm_90 for PTX and cubin, gfx942 for "
                     "HSACO)"),
      llvm::cl::value_desc("chip"));
  return chip.empty() ? otherwise : StringRef(chip);
}

} // namespace mlir::llm
