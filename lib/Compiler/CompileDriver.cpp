// The driver's public functions; the work is Compilation's.

#include "llmir/Compiler/CompileDriver.h"
#include "Compilation.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Config/llvm-config.h"

using namespace mlir::llm;

llvm::StringRef mlir::llm::getName(ActivationType type) {
  switch (type) {
  case ActivationType::F32:
    return "f32";
  case ActivationType::I8:
    return "int8";
  case ActivationType::BF16:
    return "bf16";
  }
  return "unknown";
}

llvm::StringRef mlir::llm::getName(KVElementType type) {
  switch (type) {
  case KVElementType::F32:
    return "f32";
  case KVElementType::F16:
    return "f16";
  case KVElementType::BF16:
    return "bf16";
  case KVElementType::F8E4M3FN:
    return "f8E4M3FN";
  case KVElementType::F8E5M2:
    return "f8E5M2";
  case KVElementType::I8:
    return "i8";
  case KVElementType::I4:
    return "i4";
  }
  return "unknown";
}

std::string mlir::llm::describeWeights(const std::optional<WeightQuantization> &weights) {
  if (!weights)
    return "as stored";
  std::string text = weights->storage == WeightStorage::I8 ? "int8" : "int4";
  if (weights->storage == WeightStorage::I4)
    text += weights->symmetry == WeightSymmetry::Best        ? ", best"
            : weights->symmetry == WeightSymmetry::Symmetric ? ", symmetric"
                                                             : ", asymmetric";
  text += ", groups of " + std::to_string(weights->groupSize);
  for (const std::string &pattern : weights->keep)
    text += ", without " + pattern;
  return text;
}

std::string mlir::llm::describeCachePlan(const std::optional<KVCachePlanning> &kvCache) {
  if (!kvCache)
    return "";
  std::string text = std::to_string(kvCache->budget) + " bytes for " +
                     std::to_string(kvCache->sequences) + " sequences of " +
                     (kvCache->context == 0 ? "all" : std::to_string(kvCache->context)) + " tokens";
  for (auto [index, size] : llvm::enumerate(kvCache->blockSizes))
    text += (index == 0 ? ", blocks of " : ", ") + std::to_string(size);
  return text;
}

std::string mlir::llm::getCompilerVersion() {
  return "LLMIR " LLMIR_VERSION ", LLVM " LLVM_VERSION_STRING;
}

::llmir::Status mlir::llm::compileModel(const CompileOptions &options, CompileResult &result) {
  Compilation compilation(options, result);
  return compilation.run();
}
