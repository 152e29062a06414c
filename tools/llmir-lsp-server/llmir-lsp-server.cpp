// llmir-lsp-server: diagnostics, definitions, hovers and completion for `llm` IR in an editor. A
// thin main over MLIR's language server; it speaks on stdin and stdout.

#include "llmir/Tools/Registration.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"

#include <cstdlib>

using namespace mlir;

int main(int argc, char **argv) {
  llm::hideCodeGeneratorOptions();
  DialectRegistry registry;
  llm::registerDialects(registry);
  return failed(MlirLspServerMain(argc, argv, registry)) ? EXIT_FAILURE : EXIT_SUCCESS;
}
