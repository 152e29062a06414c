// Compilation: the state of one run of the compile driver, and the steps that change it, in order.

#ifndef LLMIR_LIB_COMPILER_COMPILATION_H
#define LLMIR_LIB_COMPILER_COMPILATION_H

#include "DiagnosticCollector.h"
#include "llmir/Compiler/ArtifactWriter.h"
#include "llmir/Compiler/CompileDriver.h"
#include "llmir/Compiler/Linker.h"
#include "llmir/Compiler/WeightPacker.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"
#include <future>
#include <optional>

namespace mlir::llm {

/// One compilation. `options` and `result` must outlive it.
class Compilation {
public:
  Compilation(const CompileOptions &options, CompileResult &result);

  /// Runs all steps that the options ask for.
  ::llmir::Status run();

private:
  bool wantsText() const;
  bool wantsWeights() const;
  bool writesFile() const;

  ::llmir::Status checkOptions();
  ::llmir::Status openInput();
  ::llmir::Status importModel();
  void recordCaches();
  ::llmir::Status runPhases();
  ::llmir::Status runPhase(Phase phase);
  ::llmir::Status planWeights();
  ::llmir::Status readManifest();
  ::llmir::Status readCaches();
  ::llmir::StatusOr<int64_t> readInteger(StringRef name) const;
  ::llmir::Status emitIR();
  ::llmir::Status emitCode();
  ::llmir::Status emitLinked();
  ::llmir::StatusOr<std::string> link(const ScratchFolder &scratch);
  ::llmir::Status writeLinked(const std::string &linked);
  ::llmir::Status writeOutput(StringRef bytes);
  void startFingerprint();
  void report(StringRef step, int64_t done = 0, int64_t total = 0) const;

  const CompileOptions &options;
  CompileResult &result;
  MLIRContext context;
  DiagnosticCollector diagnostics;
  TargetDescription target;
  std::vector<std::string> emulatedFeatures;
  std::optional<::llmir::GGUFFile> file;
  OwningOpRef<ModuleOp> module;
  std::optional<WeightPacker> weights;
  ::llmir::Manifest manifest;
  std::future<::llmir::StatusOr<std::string>> fingerprint;
  std::vector<CodeBuffer> code;
};

/// The dialects that a compilation starts from.
DialectRegistry makeCompilerRegistry();

} // namespace mlir::llm

#endif // LLMIR_LIB_COMPILER_COMPILATION_H
