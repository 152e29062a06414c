// Registers code generation for CPUs with llmir-translate.

#include "llmir/Target/CPU/Translations.h"
#include "llmir/Dialect/LLM/IR/LLMDialect.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Tools/mlir-translate/Translation.h"
#include "llvm/Support/CommandLine.h"

using namespace mlir;
using namespace mlir::llm;

namespace {
/// The command-line options of the translations, made when they are registered.
struct TranslationOptions {
  llvm::cl::opt<std::string> triple{
      "target-triple", llvm::cl::desc("Triple to generate code for (default: the host's)"),
      llvm::cl::value_desc("triple")};
  llvm::cl::opt<std::string> features{
      "mcpu-features",
      llvm::cl::desc("Comma-separated LLVM feature names that the code may use, such as "
                     "avx2,fma,f16c; 'native' (the default) stands for the host's"),
      llvm::cl::value_desc("list"), llvm::cl::init("native")};
};
} // namespace

static LogicalResult translate(ModuleOp module, raw_ostream &output, CodeKind kind,
                               const TranslationOptions &translation) {
  std::string list = translation.features;
  if (!translation.triple.empty() && translation.features.getNumOccurrences() == 0)
    list.clear();
  ::llmir::StatusOr<TargetDescription> target = TargetDescription::parse(translation.triple, list);
  if (!target)
    return module.emitError() << target.status().message();
  CodeGenerationOptions options;
  options.target = *target;
  options.kind = kind;
  FailureOr<std::vector<CodeBuffer>> code = generateCode(module, options);
  if (failed(code))
    return failure();
  output << code->front();
  return success();
}

void mlir::llm::registerCPUTranslations() {
  static TranslationOptions options;
  auto add = [](StringRef name, StringRef description, CodeKind kind) {
    TranslateFromMLIRRegistration registration(
        name, description,
        [kind](ModuleOp module, raw_ostream &output) {
          return translate(module, output, kind, options);
        },
        [](DialectRegistry &registry) {
          // A module that is not lowered is told so, and not that its dialects are unknown.
          registerAllDialects(registry);
          registry.insert<LLMDialect>();
          registerCodeGenerationDialects(registry);
        });
  };
  add("llmir-to-object", "Generate an object file for a CPU", CodeKind::Object);
  add("llmir-to-assembly", "Generate assembly for a CPU", CodeKind::Assembly);
  add("llmir-to-llvmir", "Generate optimised LLVM IR for a CPU", CodeKind::LLVMIR);
}
