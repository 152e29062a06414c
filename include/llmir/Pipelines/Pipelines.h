// The compiler's phases: which passes run between a model as imported and LLVM IR, in named stages
// that a driver can stop after (DESIGN §5).

#ifndef LLMIR_PIPELINES_PIPELINES_H
#define LLMIR_PIPELINES_PIPELINES_H

#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"

#include <optional>
#include <string>
#include <vector>

namespace mlir::llm {

/// A stage of compilation. Each takes the module as the one before it left it.
enum class Phase {
  Input,    ///< As imported: verified, cache uses checked.
  Shard,    ///< What this rank computes of a model that is divided among ranks.
  Optimize, ///< Fused, folded, activations and packed layouts chosen.
  Kernel,   ///< One parallel step over tile functions; memory planned.
  Target    ///< The LLVM dialect, ready for translation. Weights are no longer in the module.
};

/// `input`, `shard`, `optimize`, `kernel` or `target`.
std::optional<Phase> parsePhase(StringRef name);
StringRef phaseName(Phase phase);
/// All phases, in order.
ArrayRef<Phase> allPhases();

struct PipelineOptions {
  /// Type to which matrix ops convert their activations.
  ActivationType activations = ActivationType::I8;
  /// LLVM names of the features that the code may use; the host's when empty.
  std::vector<std::string> features;
  /// The number of ranks among which a step is divided, and the rank that is compiled.
  int64_t worldSize = 1;
  int64_t rank = 0;
};

/// Appends the passes of one phase.
void addPhasePasses(OpPassManager &manager, Phase phase, const PipelineOptions &options);

/// Registers the pipelines for llmir-opt: `llm-optimization-pipeline` (input, shard and optimize)
/// and `llm-cpu-pipeline` (everything down to the LLVM dialect).
void registerPipelines();

} // namespace mlir::llm

#endif // LLMIR_PIPELINES_PIPELINES_H
