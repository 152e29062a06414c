// The passes of each phase, in order: see Pipelines.h.

#include "llmir/Pipelines/Pipelines.h"

#include "llmir/Conversion/LLMToCPU/Passes.h"
#include "llmir/Conversion/LLMToGPU/Passes.h"
#include "llmir/Dialect/LLM/Transforms/Passes.h"
#include "llmir/Pipelines/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Dialect/Vector/Transforms/Passes.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace mlir::llm {

namespace {
struct PhaseName {
  Phase phase;
  StringRef name;
};
constexpr PhaseName kPhases[] = {{Phase::Input, "input"},
                                 {Phase::Shard, "shard"},
                                 {Phase::Optimize, "optimize"},
                                 {Phase::Kernel, "kernel"},
                                 {Phase::Target, "target"}};
} // namespace

std::optional<Phase> parsePhase(StringRef name) {
  for (const PhaseName &entry : kPhases)
    if (entry.name == name)
      return entry.phase;
  return std::nullopt;
}

StringRef phaseName(Phase phase) {
  for (const PhaseName &entry : kPhases)
    if (entry.phase == phase)
      return entry.name;
  llvm_unreachable("unknown phase");
}

ArrayRef<Phase> allPhases() {
  static constexpr Phase phases[] = {Phase::Input, Phase::Shard, Phase::Optimize, Phase::Kernel,
                                     Phase::Target};
  return phases;
}

static void addShardPasses(OpPassManager &manager, const PipelineOptions &options) {
  ShardModelPassOptions model;
  model.worldSize = options.worldSize;
  manager.addPass(createShardModelPass(model));
  LowerShardedLinearPassOptions products;
  products.worldSize = options.worldSize;
  products.rank = options.rank;
  manager.addPass(createLowerShardedLinearPass(products));
}

static void addWeightQuantization(OpPassManager &manager, const WeightQuantization &weights) {
  QuantizeWeightsPassOptions options;
  options.storage = weights.storage;
  options.symmetry = weights.symmetry;
  options.groupSize = weights.groupSize;
  options.keep.assign(weights.keep.begin(), weights.keep.end());
  options.checkpoint = weights.checkpoint;
  options.verbose = weights.verbose;
  manager.addPass(createQuantizeWeightsPass(options));
}

static void addCachePlanning(OpPassManager &manager, const KVCachePlanning &planning) {
  PlanKVCachePassOptions options;
  options.budget = planning.budget;
  options.sequences = planning.sequences;
  options.context = planning.context;
  options.blockSizes.assign(planning.blockSizes.begin(), planning.blockSizes.end());
  options.verbose = planning.verbose;
  manager.addPass(createPlanKVCachePass(options));
}

static void addCleanupPasses(OpPassManager &manager) {
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

static void addFusionPasses(OpPassManager &manager, const PipelineOptions &options) {
  manager.addPass(createFuseProjectionsPass());
  manager.addNestedPass<func::FuncOp>(createFoldNormsPass());
  manager.addNestedPass<func::FuncOp>(createFoldResidualsPass());
  manager.addNestedPass<func::FuncOp>(createFuseKVAppendPass());
  QuantizeActivationsPassOptions quantize;
  quantize.type = options.activations;
  manager.addPass(createQuantizeActivationsPass(quantize));
}

static void addOptimizePasses(OpPassManager &manager, const PipelineOptions &options) {
  if (options.kvCache)
    addCachePlanning(manager, *options.kvCache);
  if (options.level == OptimizationLevel::None)
    return;
  if (options.level >= OptimizationLevel::Raise)
    manager.addNestedPass<func::FuncOp>(createRaiseAttentionPass());
  addCleanupPasses(manager);
  manager.addNestedPass<func::FuncOp>(createRemoveRedundantKVPass());
  if (options.weights)
    addWeightQuantization(manager, *options.weights);
  if (options.level >= OptimizationLevel::Fuse)
    addFusionPasses(manager, options);
  manager.addPass(createChoosePackedLayoutsPass());
}

/// Ends a phase: an op of no dialect but these is an error.
static void verifyLowered(OpPassManager &manager, ArrayRef<StringRef> dialects) {
  VerifyLoweredPassOptions options;
  options.dialects.assign(dialects.begin(), dialects.end());
  manager.addPass(createVerifyLoweredPass(options));
}

static void addKernelPasses(OpPassManager &manager, const PipelineOptions &options) {
  FormParallelStepPassOptions step;
  step.features.assign(options.features.begin(), options.features.end());
  step.emulate.assign(options.emulatedFeatures.begin(), options.emulatedFeatures.end());
  step.profile = options.profile;
  manager.addPass(createFormParallelStepPass(step));
  ConvertLLMToCPUPassOptions functions;
  functions.features.assign(options.features.begin(), options.features.end());
  functions.emulate.assign(options.emulatedFeatures.begin(), options.emulatedFeatures.end());
  functions.attention = options.attention;
  manager.addPass(createConvertLLMToCPUPass(functions));
  addCleanupPasses(manager);
  // Of the llm dialect only weights are left, which tell the packer what to write.
  verifyLowered(manager, {"amx", "arith", "builtin", "cf", "func", "llm", "llvm", "math", "memref",
                          "scf", "ub", "vector"});
}

static void addTargetPasses(OpPassManager &manager) {
  manager.addPass(createEraseWeightsPass());
  manager.addPass(createSCFToControlFlowPass());
  manager.addPass(memref::createExpandStridedMetadataPass());
  manager.addPass(createLowerAffinePass());
  manager.addPass(createConvertMathToLLVMPass());
  manager.addPass(createConvertVectorToLLVMPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createArithToLLVMConversionPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  manager.addPass(createReconcileUnrealizedCastsPass());
  addCleanupPasses(manager);
  verifyLowered(manager, {"llvm"});
}

void addPhasePasses(OpPassManager &manager, Phase phase, const PipelineOptions &options) {
  switch (phase) {
  case Phase::Input:
    manager.addNestedPass<func::FuncOp>(createCheckCacheUsesPass());
    return;
  case Phase::Shard:
    return addShardPasses(manager, options);
  case Phase::Optimize:
    return addOptimizePasses(manager, options);
  case Phase::Kernel:
    return addKernelPasses(manager, options);
  case Phase::Target:
    return addTargetPasses(manager);
  }
}

namespace {
/// What the options of a pipeline say of float weights.
enum class RoundedWeights { None, I8, I4 };

/// The command-line form of PipelineOptions.
struct PipelineFlags : PassPipelineOptions<PipelineFlags> {
  Option<int> level{*this, "opt-level",
                    llvm::cl::desc("0: check and divide among ranks; 1: and simplify, place "
                                   "weights; 2: and fuse, round activations (default); 3: and "
                                   "raise attention that is written out"),
                    llvm::cl::init(static_cast<int>(OptimizationLevel::Fuse))};
  Option<ActivationType> activations{
      *this, "activations", llvm::cl::desc("Activations of matrix ops, from opt-level 2"),
      llvm::cl::init(ActivationType::I8),
      llvm::cl::values(clEnumValN(ActivationType::F32, "f32", "as they are"),
                       clEnumValN(ActivationType::BF16, "bf16", "rounded to bf16"),
                       clEnumValN(ActivationType::I8, "i8", "int8 in groups of 32"))};
  Option<AttentionTechnique> attention{
      *this, "attention", llvm::cl::desc("How functions compute dense attention"),
      llvm::cl::init(AttentionTechnique::Flash),
      llvm::cl::values(
          clEnumValN(AttentionTechnique::Flash, "flash", "tiles of keys, online softmax"),
          clEnumValN(AttentionTechnique::FusedSoftmax, "fused-softmax",
                     "scores of a block of rows, weights computed in the product"),
          clEnumValN(AttentionTechnique::Masked, "masked",
                     "scores of all rows, masked tiles skipped"),
          clEnumValN(AttentionTechnique::SlidingWindow, "sliding-window",
                     "scores of a block of rows for its window"),
          clEnumValN(AttentionTechnique::ThreePass, "three-pass", "scores of all rows and keys"))};
  Option<RoundedWeights> weights{
      *this, "weights", llvm::cl::desc("Codes of float weights, from opt-level 1"),
      llvm::cl::init(RoundedWeights::None),
      llvm::cl::values(clEnumValN(RoundedWeights::None, "none", "as they are (default)"),
                       clEnumValN(RoundedWeights::I8, "i8", "8 bits"),
                       clEnumValN(RoundedWeights::I4, "i4", "4 bits"))};
  Option<WeightSymmetry> symmetry{
      *this, "symmetry", llvm::cl::desc("Whether groups of 4-bit codes have minima"),
      llvm::cl::init(WeightSymmetry::Best),
      llvm::cl::values(
          clEnumValN(WeightSymmetry::Symmetric, "symmetric", "a scale alone"),
          clEnumValN(WeightSymmetry::Asymmetric, "asymmetric", "a scale and a minimum"),
          clEnumValN(WeightSymmetry::Best, "best", "what the checkpoint asks for"))};
  Option<int64_t> groupSize{*this, "group-size",
                            llvm::cl::desc("Weights that share a scale: 32, 64 or 128"),
                            llvm::cl::init(32)};
  ListOption<std::string> keep{
      *this, "keep",
      llvm::cl::desc("Patterns (with `*`) of names of weights that keep their type")};
  Option<std::string> checkpoint{
      *this, "checkpoint", llvm::cl::desc("The GGUF file on whose weights roundings are tried")};
  ListOption<std::string> features{
      *this, "features",
      llvm::cl::desc("LLVM names of the features that the code may use (default: the host's)")};
  ListOption<std::string> emulate{
      *this, "emulate",
      llvm::cl::desc("Features whose schedules are used, with arithmetic for their instructions")};
  Option<bool> profile{*this, "profile", llvm::cl::desc("Add a step with a clock around each call"),
                       llvm::cl::init(false)};
  Option<int64_t> worldSize{
      *this, "world-size",
      llvm::cl::desc("The number of ranks among which a step is divided (default: 1)"),
      llvm::cl::init(1)};
  Option<int64_t> rank{*this, "rank", llvm::cl::desc("The rank that is compiled (default: 0)"),
                       llvm::cl::init(0)};

  Option<int64_t> kvBudget{
      *this, "kv-budget",
      llvm::cl::desc("Bytes that KV caches may take (default: any; they stay as they are)"),
      llvm::cl::init(0)};
  Option<int64_t> kvSequences{*this, "kv-sequences",
                              llvm::cl::desc("Sequences that kv-budget is for (default: 1)"),
                              llvm::cl::init(1)};
  Option<int64_t> kvContext{*this, "kv-context",
                            llvm::cl::desc("Tokens of each (default: the longest)"),
                            llvm::cl::init(0)};

  PipelineOptions toOptions() const {
    PipelineOptions options;
    options.level = static_cast<OptimizationLevel>(level.getValue());
    if (kvBudget != 0)
      options.kvCache = KVCachePlanning{kvBudget, kvSequences, kvContext, {}, true};
    options.worldSize = worldSize;
    options.rank = rank;
    options.activations = activations;
    options.attention = attention;
    options.features.assign(features.begin(), features.end());
    options.emulatedFeatures.assign(emulate.begin(), emulate.end());
    options.profile = profile;
    if (weights == RoundedWeights::None)
      return options;
    WeightQuantization &rounding = options.weights.emplace();
    rounding.storage = weights == RoundedWeights::I4 ? WeightStorage::I4 : WeightStorage::I8;
    rounding.symmetry = symmetry;
    rounding.groupSize = groupSize;
    rounding.keep.assign(keep.begin(), keep.end());
    rounding.checkpoint = checkpoint;
    return options;
  }
};

/// The command-line form of GPUTarget.
struct GPUPipelineFlags : PassPipelineOptions<GPUPipelineFlags> {
  Option<int64_t> subgroupSize{*this, "subgroup-size",
                               llvm::cl::desc("Threads that run in step and can shuffle: 32 or 64"),
                               llvm::cl::init(GPUTarget().subgroupSize)};
  Option<int64_t> workgroupMemory{*this, "workgroup-memory",
                                  llvm::cl::desc("Bytes of workgroup memory that a block may use"),
                                  llvm::cl::init(GPUTarget().workgroupMemory)};
  Option<int64_t> splitTokens{
      *this, "split-tokens",
      llvm::cl::desc("Keys that one block of a decoding kernel attends to; a multiple of 128"),
      llvm::cl::init(GPUTarget().splitTokens)};
};

using BuildPipeline = void (*)(OpPassManager &, const PipelineOptions &);
} // namespace

/// Registers a pipeline whose options are checked before it is built.
static void registerPipeline(StringRef name, StringRef description, BuildPipeline build) {
  registerPassPipeline(
      name, description,
      [build](OpPassManager &manager, StringRef text,
              function_ref<LogicalResult(const Twine &)> emitError) -> LogicalResult {
        PipelineFlags flags;
        if (failed(flags.parseFromString(text)))
          return failure();
        if (flags.level < 0 || flags.level > static_cast<int>(OptimizationLevel::Raise))
          return emitError("expected 'opt-level' to be in 0..3, but got " +
                           Twine(flags.level.getValue()));
        build(manager, flags.toOptions());
        return success();
      },
      [](function_ref<void(const mlir::detail::PassOptions &)> handle) {
        handle(PipelineFlags());
      });
}

void registerPipelines() {
  registerPipelinesPasses();
  registerPipeline("llm-optimization-pipeline",
                   "Check, shard, fuse and quantise llm IR (phases input, shard and optimize)",
                   [](OpPassManager &manager, const PipelineOptions &options) {
                     for (Phase phase : {Phase::Input, Phase::Shard, Phase::Optimize})
                       addPhasePasses(manager, phase, options);
                     manager.addPass(createCheckLowerablePass());
                   });
  registerPipeline("llm-cpu-pipeline", "Compile llm IR to the LLVM dialect for a CPU (all phases)",
                   [](OpPassManager &manager, const PipelineOptions &options) {
                     for (Phase phase : allPhases()) {
                       addPhasePasses(manager, phase, options);
                       // Code addresses weights by their places.
                       if (phase == Phase::Optimize && options.level == OptimizationLevel::None)
                         manager.addPass(createChoosePackedLayoutsPass());
                     }
                   });
  PassPipelineRegistration<GPUPipelineFlags>(
      "llm-gpu-pipeline",
      "Compile functions over KV caches to GPU kernels and the host code that launches them",
      [](OpPassManager &manager, const GPUPipelineFlags &flags) {
        addGPUPasses(manager, {flags.subgroupSize, flags.workgroupMemory, flags.splitTokens});
      });
}

} // namespace mlir::llm
