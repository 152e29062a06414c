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

static void addOptimizePasses(OpPassManager &manager, const PipelineOptions &options) {
  if (options.kvCache)
    addCachePlanning(manager, *options.kvCache);
  manager.addNestedPass<func::FuncOp>(createRemoveRedundantKVPass());
  if (options.weights)
    addWeightQuantization(manager, *options.weights);
  manager.addPass(createRaiseAttentionPass());
  manager.addPass(createFuseProjectionsPass());
  manager.addNestedPass<func::FuncOp>(createFoldNormsPass());
  manager.addNestedPass<func::FuncOp>(createFoldResidualsPass());
  manager.addNestedPass<func::FuncOp>(createFuseKVAppendPass());
  QuantizeActivationsPassOptions quantize;
  quantize.type = options.activations;
  manager.addPass(createQuantizeActivationsPass(quantize));
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
  manager.addPass(createFormParallelStepPass(step));
  ConvertLLMToCPUPassOptions functions;
  functions.features.assign(options.features.begin(), options.features.end());
  functions.attention = options.attention;
  manager.addPass(createConvertLLMToCPUPass(functions));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
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
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
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
/// The command-line form of PipelineOptions.
struct PipelineFlags : PassPipelineOptions<PipelineFlags> {
  Option<ActivationType> activations{
      *this, "activations", llvm::cl::desc("Activations of matrix ops"),
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
  ListOption<std::string> features{
      *this, "features",
      llvm::cl::desc("LLVM names of the features that the code may use (default: the host's)")};
  Option<int> optimizationLevel{*this, "opt-level",
                                llvm::cl::desc("0: only what correctness needs; 1 and up: all"),
                                llvm::cl::init(2)};

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
    if (kvBudget != 0)
      options.kvCache = KVCachePlanning{kvBudget, kvSequences, kvContext, {}, true};
    options.worldSize = worldSize;
    options.rank = rank;
    options.activations = activations;
    options.attention = attention;
    options.features.assign(features.begin(), features.end());
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
} // namespace

void registerPipelines() {
  registerPipelinesPasses();
  PassPipelineRegistration<PipelineFlags>(
      "llm-optimization-pipeline",
      "Check, shard, fuse and quantise llm IR (phases input, shard and optimize)",
      [](OpPassManager &manager, const PipelineFlags &flags) {
        addPhasePasses(manager, Phase::Input, flags.toOptions());
        addPhasePasses(manager, Phase::Shard, flags.toOptions());
        if (flags.optimizationLevel > 0)
          addPhasePasses(manager, Phase::Optimize, flags.toOptions());
        manager.addPass(createCheckLowerablePass());
      });
  PassPipelineRegistration<PipelineFlags>(
      "llm-cpu-pipeline", "Compile llm IR to the LLVM dialect for a CPU (all phases)",
      [](OpPassManager &manager, const PipelineFlags &flags) {
        for (Phase phase : allPhases())
          addPhasePasses(manager, phase, flags.toOptions());
      });
  PassPipelineRegistration<GPUPipelineFlags>(
      "llm-gpu-pipeline",
      "Compile functions over KV caches to GPU kernels and the host code that launches them",
      [](OpPassManager &manager, const GPUPipelineFlags &flags) {
        addGPUPasses(manager, {flags.subgroupSize, flags.workgroupMemory, flags.splitTokens});
      });
}

} // namespace mlir::llm
