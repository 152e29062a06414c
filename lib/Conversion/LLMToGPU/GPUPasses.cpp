// The passes from llm IR to kernels, for pipelines and code generators alike.

#include "llmir/Conversion/LLMToGPU/Passes.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::llm {

void addGPUPasses(OpPassManager &manager, const GPUTarget &target) {
  manager.addNestedPass<func::FuncOp>(createCheckCacheUsesPass());
  ConvertLLMToGPUPassOptions options;
  options.subgroupSize = target.subgroupSize;
  options.workgroupMemory = target.workgroupMemory;
  options.splitTokens = target.splitTokens;
  manager.addPass(createConvertLLMToGPUPass(options));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  // Those that kernels read are globals by now.
  manager.addPass(createEraseWeightsPass());
  VerifyLoweredPassOptions lowered;
  lowered.dialects.assign(
      {"arith", "builtin", "cf", "func", "gpu", "llvm", "math", "memref", "scf", "ub", "vector"});
  manager.addPass(createVerifyLoweredPass(lowered));
}

} // namespace mlir::llm
