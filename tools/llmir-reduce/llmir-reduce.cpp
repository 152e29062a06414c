// llmir-reduce: makes a module that shows a bug smaller while a script says that it still does. A
// thin main over MLIR's reducer.

#include "llmir/Tools/Registration.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Tools/mlir-reduce/MlirReduceMain.h"
#include "llvm/Support/InitLLVM.h"

#include <cstdlib>

using namespace mlir;

int main(int argc, char **argv) {
  llvm::InitLLVM initialised(argc, argv);
  llm::hideCodeGeneratorOptions();
  llm::registerPasses();
  DialectRegistry registry;
  llm::registerDialects(registry);
  MLIRContext context(registry);
  return failed(mlirReduceMain(argc, argv, context)) ? EXIT_FAILURE : EXIT_SUCCESS;
}
