// llmir-opt: runs passes over `llm` IR. A thin main over the libraries' registration functions;
// adds to mlir-opt's options one that prints what this project's passes counted.

#include "llmir/Conversion/GPUToSIMT/Passes.h"
#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llmir/Pipelines/Pipelines.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

static LogicalResult optimise(StringRef inputName, StringRef outputName, DialectRegistry &registry,
                              const MlirOptMainConfig &config) {
  std::string error;
  std::unique_ptr<llvm::MemoryBuffer> input = openInputFile(inputName, &error);
  std::unique_ptr<llvm::ToolOutputFile> output =
      input ? openOutputFile(outputName, &error) : nullptr;
  if (!output) {
    llvm::errs() << error << '\n';
    return failure();
  }
  if (failed(MlirOptMain(output->os(), std::move(input), registry, config)))
    return failure();
  output->keep();
  return success();
}

int main(int argc, char **argv) {
  llvm::InitLLVM initialised(argc, argv);
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<llm::LLMDialect>();

  registerAllPasses();
  // Passes and pipelines of this project; each library adds its own line.
  llm::registerLLMPasses();
  llm::registerLLMToCPUPasses();
  llm::registerLLMToGPUPasses();
  llm::registerGPUToSIMTPasses();
  llm::registerPipelines();

  llvm::cl::opt<bool> printStatistics(
      "llm-pass-statistics", llvm::cl::desc("Print on stderr what the llm passes counted"));
  auto [inputName, outputName] =
      registerAndParseCLIOptions(argc, argv, "LLMIR optimiser: passes over `llm` IR\n", registry);
  const MlirOptMainConfig parsed = MlirOptMainConfig::createFromCLOptions();
  if (parsed.shouldShowDialects() || parsed.shouldListPasses())
    return asMainReturnCode(MlirOptMain(argc, argv, inputName, outputName, registry));

  llm::PassStatistics statistics;
  MlirOptMainConfig config = parsed;
  config.setPassPipelineSetupFn([&](PassManager &manager) {
    manager.addInstrumentation(statistics.createInstrumentation());
    return parsed.setupPassPipeline(manager);
  });
  LogicalResult result = optimise(inputName, outputName, registry, config);
  if (printStatistics)
    statistics.print(llvm::errs());
  return asMainReturnCode(result);
}
