// llmir-opt: runs passes over `llm` IR. A thin main over the libraries' registration functions.

#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registry.insert<mlir::llm::LLMDialect>();

  mlir::registerAllPasses();
  // Passes and pipelines of this project; each library adds its own line.
  mlir::llm::registerLLMPasses();

  return mlir::asMainReturnCode(
      mlir::MlirOptMain(argc, argv, "LLMIR optimiser: passes over `llm` IR\n", registry));
}
