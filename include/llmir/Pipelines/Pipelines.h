// The compiler's phases: which passes run between a model as imported and LLVM IR, in named stages
// that a driver can stop after (DESIGN §5).

#ifndef LLMIR_PIPELINES_PIPELINES_H
#define LLMIR_PIPELINES_PIPELINES_H

#include "llmir/Conversion/LLMToCPU/Passes.h"
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
  Optimize, ///< Caches planned; what the OptimizationLevel says: rounded, fused, folded, laid out.
  Kernel,   ///< One parallel step over tile functions; memory planned.
  Target    ///< The LLVM dialect, ready for translation. Weights are no longer in the module.
};

/// `input`, `shard`, `optimize`, `kernel` or `target`.
std::optional<Phase> parsePhase(StringRef name);
StringRef phaseName(Phase phase);
/// All phases, in order.
ArrayRef<Phase> allPhases();

/// How float weights are rounded: see llm-quantize-weights.
struct WeightQuantization {
  WeightStorage storage = WeightStorage::I8;
  /// Of 4-bit codes.
  WeightSymmetry symmetry = WeightSymmetry::Best;
  /// Elements that share a scale.
  int64_t groupSize = 32;
  /// Patterns of names of weights that keep their type.
  std::vector<std::string> keep;
  /// The GGUF file of the weights, on which 4-bit forms are tried; none when empty.
  std::string checkpoint;
  /// Emits a remark on each weight.
  bool verbose = false;
};

/// What KV caches are planned for: see llm-plan-kv-cache.
struct KVCachePlanning {
  /// Bytes that all caches of this rank may take.
  int64_t budget = 0;
  /// Sequences that have to fit at a time, and tokens of each (0: the longest).
  int64_t sequences = 1;
  int64_t context = 0;
  /// Block sizes to choose from; all when empty.
  std::vector<int64_t> blockSizes;
  /// Emits remarks on what is chosen and why.
  bool verbose = true;
};

/// How much the phase `optimize` does; each level does what those below it do.
enum class OptimizationLevel {
  /// 0: nothing. The module is checked, and divided among ranks.
  None,
  /// 1: canonical form without equal ops twice, float weights rounded where that is asked for,
  /// packed layouts chosen. Ops stay apart and multiply f32 activations.
  Simplify,
  /// 2: projections fused, norms and residuals folded into them, activations rounded.
  Fuse,
  /// 3: before that, attention that is written out as products and a softmax becomes
  /// `llm.attention`, which drops roundings between them.
  Raise
};

struct PipelineOptions {
  OptimizationLevel level = OptimizationLevel::Fuse;
  /// Type to which matrix ops convert their activations.
  ActivationType activations = ActivationType::I8;
  /// How functions compute dense attention.
  AttentionTechnique attention = AttentionTechnique::Flash;
  /// Rounds float weights; absent: they keep the checkpoint's types.
  std::optional<WeightQuantization> weights;
  /// Chooses how KV caches are stored; absent: as the module says.
  std::optional<KVCachePlanning> kvCache;
  /// LLVM names of the features that the code may use; the host's when empty.
  std::vector<std::string> features;
  /// Features whose schedules are used although the code may not use their instructions.
  std::vector<std::string> emulatedFeatures;
  /// Adds a step with a clock around each call.
  bool profile = false;
  /// The number of ranks among which a step is divided, and the rank that is compiled.
  int64_t worldSize = 1;
  int64_t rank = 0;
};

/// Appends the passes of one phase.
void addPhasePasses(OpPassManager &manager, Phase phase, const PipelineOptions &options);

/// Registers the pipelines for llmir-opt: `llm-optimization-pipeline` (input, shard and optimize),
/// `llm-cpu-pipeline` (everything down to the LLVM dialect) and `llm-gpu-pipeline` (kernels and
/// their launches). Each begins with llm-check-cache-uses and ends by verifying what it leaves.
void registerPipelines();

} // namespace mlir::llm

#endif // LLMIR_PIPELINES_PIPELINES_H
