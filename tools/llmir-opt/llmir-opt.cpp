// llmir-opt: runs passes over `llm` IR. A thin main over the libraries' registration functions;
// adds to mlir-opt's options one that prints what this project's passes counted, and one that runs
// the module before and after each pass and compares.

#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Tools/Registration.h"
#include "llmir/Validation/PassValidation.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/ToolOutputFile.h"

#ifdef LLMIR_HAVE_TEST_PASSES
void registerLLMTestPasses();
#endif

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

/// What `--help` says before it lists the options.
static constexpr llvm::StringLiteral kOverview = R"(passes over `llm` IR

  llmir-opt model.mlir                                check the module and print it
  llmir-opt model.mlir --llm-check-cache-uses         and that no KV cache is used after it ended
  llmir-opt model.mlir --llm-optimization-pipeline    optimise it, as llmir-compile does
  llmir-opt model.mlir --llm-cpu-pipeline             lower it to the LLVM dialect
  llmir-opt model.mlir --llm-validate-passes --cse    run it before and after each pass, and compare
  llmir-opt a.mlir --split-input-file --verify-diagnostics --allow-unregistered-dialect

Passes of this project begin with `llm-` or `convert-llm-`, and are described in docs/LLMPasses.md of
the build folder; the others are MLIR's. `--help-hidden` shows LLVM's own options too.
)";

int main(int argc, char **argv) {
  llvm::InitLLVM initialised(argc, argv);
  llm::hideCodeGeneratorOptions();
  DialectRegistry registry;
  llm::registerDialects(registry);
  llm::registerPasses();
#ifdef LLMIR_HAVE_TEST_PASSES
  registerLLMTestPasses();
#endif

  llvm::cl::opt<bool> printStatistics(
      "llm-pass-statistics", llvm::cl::desc("Print on stderr what the llm passes counted"));
  llvm::cl::opt<bool> validatePasses(
      "llm-validate-passes",
      llvm::cl::desc("Run the module on made-up inputs before and after each pass, up to "
                     "bufferisation, and fail at the first pass that changes a result"));
  llvm::cl::opt<uint64_t> validationSeed(
      "llm-validation-seed", llvm::cl::desc("Seed of the inputs and weights of that (default: 1)"),
      llvm::cl::init(1));
  // The tool's own overview, not MLIR's, which lists all dialects on one line.
  registerCLIOptions("llmir-opt", registry);
  auto [inputName, outputName] = parseCLIOptions(argc, argv, kOverview);
  const MlirOptMainConfig parsed = MlirOptMainConfig::createFromCLOptions();
  if (parsed.shouldShowDialects() || parsed.shouldListPasses())
    return asMainReturnCode(MlirOptMain(argc, argv, inputName, outputName, registry));

  llm::PassStatistics statistics;
  llm::PassValidation validation(validationSeed);
  MlirOptMainConfig config = parsed;
  config.setPassPipelineSetupFn([&](PassManager &manager) {
    manager.addInstrumentation(statistics.createInstrumentation());
    if (validatePasses) {
      // It looks at the whole module after each pass over a part of it.
      manager.getContext()->disableMultithreading();
      manager.addInstrumentation(validation.createInstrumentation());
    }
    return parsed.setupPassPipeline(manager);
  });
  LogicalResult result = optimise(inputName, outputName, registry, config);
  if (printStatistics)
    statistics.print(llvm::errs());
  if (validatePasses)
    validation.print(llvm::errs());
  return asMainReturnCode(success(succeeded(result) && !validation.failed()));
}
