// llmir-translate: between checkpoints, `llm` IR and code, one translation at a time.

#include "llmir/Import/GGUFImport.h"
#include "llmir/Target/CPU/Translations.h"
#include "llmir/Target/CUDA/PTX.h"
#include "llmir/Target/ROCm/HSACO.h"
#include "mlir/Support/LogicalResult.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"

int main(int argc, char **argv) {
  mlir::llm::registerImportGGUFTranslation();
  mlir::llm::registerCPUTranslations();
  mlir::llm::registerCUDATranslations();
  mlir::llm::registerROCmTranslations();
  return mlir::failed(mlir::mlirTranslateMain(argc, argv, "LLMIR translation tool"));
}
