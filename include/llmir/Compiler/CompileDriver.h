// The compile driver: from a checkpoint to IR, code or an artifact, phase by phase. llmir-compile
// is a command line over it.

#ifndef LLMIR_COMPILER_COMPILEDRIVER_H
#define LLMIR_COMPILER_COMPILEDRIVER_H

#include "llmir/Base/Status.h"
#include "llmir/Compiler/CompileReport.h"
#include "llmir/Compiler/QuantizationReport.h"
#include "llmir/Dialect/LLM/Transforms/PassStatistics.h"
#include "llmir/Import/GGUFImport.h"
#include "llmir/Pipelines/Pipelines.h"
#include <functional>
#include <optional>
#include <string>

namespace mlir::llm {

/// What a compilation produces.
enum class EmitKind {
  MLIR,         ///< The IR after the last phase that ran.
  LLVMIR,       ///< Optimised LLVM IR.
  Assembly,     ///< Assembly for the target.
  Object,       ///< An object file that exports the step.
  SharedObject, ///< The linked code alone, without weights.
  Executable,   ///< A program: code, weights and runtime.
  Artifact      ///< `model.llmir`: code, weights, tokenizer and manifest.
};

/// `int8`, `f32` or `bf16`: as the command line and the manifest write it.
llvm::StringRef getName(ActivationType type);
/// `f32`, `f16` or `bf16`.
llvm::StringRef getName(KVElementType type);
/// `as stored`, or what weights are rounded to: `int4, best, groups of 32`.
std::string describeWeights(const std::optional<WeightQuantization> &weights);
/// What caches are planned for: `1000000 bytes for 4 sequences of 2048 tokens`; nothing if they are
/// not.
std::string describeCachePlan(const std::optional<KVCachePlanning> &kvCache);

/// Everything that a compilation depends on beside the checkpoint.
struct CompileOptions {
  /// The checkpoint, a GGUF file.
  std::string inputPath;
  /// Where the result goes; empty or `-`: MLIR, LLVM IR and assembly are returned as text.
  std::string outputPath;
  EmitKind emit = EmitKind::Artifact;
  /// Stops after this phase and produces its IR, whatever `emit` says.
  std::optional<Phase> lastPhase;
  ActivationType activations = ActivationType::I8;
  /// Rounds float weights; the checkpoint is `inputPath`, whatever it says.
  std::optional<WeightQuantization> weights;
  /// Cache type, block size and sequence length.
  ImportOptions import;
  /// Chooses how caches are stored, no wider than `import` says.
  std::optional<KVCachePlanning> kvCache;
  /// The number of ranks among which the model is divided, and the one that is compiled.
  int64_t worldSize = 1;
  int64_t rank = 0;
  /// Triple (empty: the host's), LLVM's name of a processor, and its names of features beyond that
  /// processor (`native`: the host's). Neither: the host.
  std::string triple;
  std::string processor;
  std::string features;
  /// Features, or the name of a level (see cpuLevels), whose schedules are used with plain
  /// arithmetic for the instructions that the target lacks.
  std::string emulatedFeatures;
  /// Names of levels (see cpuLevels), or `all`: the product has a version of its code for each, and
  /// takes the best that its host can run when it is loaded. Empty: one version, for the target.
  std::vector<std::string> levels;
  /// Where objects of functions are kept for later compilations (see ObjectCache); empty: nowhere.
  std::string objectCacheFolder;
  /// Adds to the code what `llmir-benchmark --profile` calls.
  bool profile = false;
  /// Threads for code generation and for packing.
  unsigned numThreads = 2;
  /// MLIR prints the IR after each pass to stderr.
  bool printIRAfterAll = false;
  /// Folder of the running executable, for the runtime's libraries (see Linker.h).
  std::string executableFolder;
  /// Told the step that runs, and how far it is (0 of 0 when that is not known).
  std::function<void(llvm::StringRef step, int64_t done, int64_t total)> progress;
};

/// What a compilation gives beside its file.
struct CompileResult {
  /// The product, when it is text and no path was given.
  std::string text;
  CompileReport report;
  /// What went wrong without stopping the compilation.
  std::vector<std::string> notes;
  /// What the passes counted.
  PassStatistics statistics;
  /// The errors of weights that were quantised; known where weights are written.
  QuantizationReport quantization;
};

/// Compiles as `options` say and fills `result`, of which report and statistics are also valid
/// after an error. The error names the file and the field, op or phase at fault; after one, and
/// after an interrupt while files were open, no partial file is left.
::llmir::Status compileModel(const CompileOptions &options, CompileResult &result);

/// The version as the manifest gives it: `LLMIR 0.1.0, LLVM 22.1.8`.
std::string getCompilerVersion();

} // namespace mlir::llm

#endif // LLMIR_COMPILER_COMPILEDRIVER_H
