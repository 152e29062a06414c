// Chooses the builder of a GGUF file's architecture.

#include "llmir/Import/GGUFImport.h"

#include "CheckpointReader.h"
#include "LlamaBuilder.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace mlir::llm {

/// An architecture family by the name that checkpoints give it.
struct ArchitectureFamily {
  StringRef name;
  FailureOr<OwningOpRef<ModuleOp>> (*build)(CheckpointReader &, const ImportOptions &);
};

static constexpr ArchitectureFamily kFamilies[] = {{"llama", buildLlama}};

OwningOpRef<ModuleOp> importGGUF(MLIRContext *context, const ::llmir::GGUFFile &file,
                                 const ImportOptions &options) {
  context->loadDialect<LLMDialect, arith::ArithDialect, func::FuncDialect>();
  CheckpointReader reader(context, file);
  FailureOr<std::optional<std::string>> architecture = reader.findString("general.architecture");
  if (failed(architecture))
    return {};
  if (!*architecture) {
    reader.emitError() << "expected metadata 'general.architecture', but it is missing";
    return {};
  }
  const auto *family = llvm::find_if(
      kFamilies, [&](const ArchitectureFamily &known) { return known.name == **architecture; });
  if (family == std::end(kFamilies)) {
    InFlightDiagnostic diagnostic = reader.emitError() << "expected architecture ";
    llvm::interleave(
        kFamilies, [&](const ArchitectureFamily &known) { diagnostic << "'" << known.name << "'"; },
        [&] { diagnostic << " or "; });
    diagnostic << ", but got '" << **architecture << "'";
    return {};
  }
  FailureOr<OwningOpRef<ModuleOp>> module = family->build(reader, options);
  if (failed(module))
    return {};
  return std::move(*module);
}

} // namespace mlir::llm
