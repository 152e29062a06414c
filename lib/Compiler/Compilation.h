// Compilation: the state of one run of the compile driver, and the steps that change it, in order.

#ifndef LLMIR_LIB_COMPILER_COMPILATION_H
#define LLMIR_LIB_COMPILER_COMPILATION_H

#include "DiagnosticCollector.h"
#include "llmir/Compiler/ArtifactWriter.h"
#include "llmir/Compiler/CompileDriver.h"
#include "llmir/Compiler/Linker.h"
#include "llmir/Compiler/WeightPacker.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "llmir/Target/CPU/ObjectCache.h"
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
  /// The step as it is generated for one level of features; most compilations have one.
  struct CodeVersion {
    std::string level; ///< Empty: the only one.
    TargetDescription target;
    OwningOpRef<ModuleOp> module; ///< From the phase `kernel` on; null: the compilation's own.
    ::llmir::WorkspaceContract workspace;
    std::string symbolSuffix;
  };

  bool wantsText() const;
  bool wantsWeights() const;
  bool writesFile() const;

  ::llmir::Status checkOptions();
  ::llmir::Status openInput();
  ::llmir::Status importModel();
  void recordCaches();
  ::llmir::Status runPhases();
  ::llmir::Status runPhase(Phase phase, CodeVersion &version);
  ::llmir::Status chooseVersions();
  ModuleOp moduleOf(const CodeVersion &version);
  ::llmir::Status checkForVersions() const;
  void openObjectCache();
  ::llmir::Status planWeights();
  ::llmir::Status readManifest();
  ::llmir::Status readWorkspace(CodeVersion &version);
  void listVersions();
  ::llmir::Status readCaches();
  ::llmir::StatusOr<int64_t> readInteger(StringRef name) const;
  ::llmir::Status emitIR();
  ::llmir::Status emitCode();
  ::llmir::Status emitCode(CodeVersion &version, CodeGenerationReport &report);
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
  TargetDescription target;          ///< Of the version with the fewest features.
  std::vector<CodeVersion> versions; ///< The most features first.
  std::vector<std::string> emulatedFeatures;
  std::optional<ObjectCache> objectCache;
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
