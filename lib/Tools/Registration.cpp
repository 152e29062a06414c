// Registration of dialects, passes and options for tools over IR.

#include "llmir/Tools/Registration.h"
#include "llmir/Conversion/GPUToSIMT/Passes.h"
#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/Transforms/InterfaceImplementations.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llmir/Pipelines/Pipelines.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;

void llm::registerDialects(DialectRegistry &registry) {
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registry.insert<LLMDialect>();
  registerBufferizableOpInterfaceModels(registry);
  registerTilingInterfaceModels(registry);
}

void llm::registerPasses() {
  registerAllPasses();
  // Passes and pipelines of this project; each library adds its own line.
  registerLLMPasses();
  registerLLMToCPUPasses();
  registerLLMToGPUPasses();
  registerGPUToSIMTPasses();
  registerPipelines();
}

void llm::hideCodeGeneratorOptions() {
  constexpr StringLiteral kOwn[] = {"help", "help-hidden", "help-list", "help-list-hidden",
                                    "version"};
  for (auto [name, option] : llvm::cl::getRegisteredOptions())
    if (!llvm::is_contained(kOwn, name))
      option->setHiddenFlag(llvm::cl::Hidden);
}
