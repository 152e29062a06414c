// The pipelines of one module, each on a copy of it.

#include "ModuleCheck.h"

#include "../ModelFiles/GGUFBuilder.h"
#include "CompiledModule.h"

#include "llmir/Base/Float16.h"
#include "llmir/Compiler/WeightPacker.h"
#include "llmir/Pipelines/Pipelines.h"
#include "llmir/Target/CPU/CodeGeneration.h"
#include "llmir/Target/CUDA/PTX.h"
#include "llmir/Target/ROCm/HSACO.h"
#include "llmir/Tools/Registration.h"
#include "llmir/Validation/PassValidation.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

#include <chrono>

using namespace mlir;
using namespace mlir::llm;

namespace llmir::testing {

void prepareModuleChecks(DialectRegistry &registry) {
  registerDialects(registry);
  registerCodeGenerationDialects(registry);
  registerDeviceCodeDialects(registry);
  llm::registerPasses();
  initializeCodeGeneration();
}

/// The checkpoint tensors of a module that no pass has seen yet, as a GGUF file.
static std::vector<uint8_t> makeCheckpoint(ModuleOp module, const WeightValues &weights) {
  GGUFBuilder builder;
  builder.string("general.architecture", "llama");
  for (auto weight : module.getOps<WeightOp>()) {
    ByteWriter data;
    TensorValue numbers = weights.load(weight);
    auto quantized = dyn_cast<QuantizedTensorType>(weight.getType());
    GGUFType type = GGUFType::F32;
    if (quantized) {
      type = quantized.getBits() == 8   ? GGUFType::Q8_0
             : quantized.getSymmetric() ? GGUFType::Q4_0
                                        : GGUFType::Q4_1;
      for (int64_t row = 0; row < weight.getRows(); ++row)
        for (int64_t first = 0; first < weight.getCols(); first += 32) {
          llvm::SmallVector<double> source;
          for (int64_t i = first; i < first + 32; ++i)
            source.push_back(weights.sourceElement(weight.getSymName(), row, i, weight.getCols()));
          QuantizedGroup group = quantizeGroup(source, quantized);
          data.put(floatToHalf(static_cast<float>(group.scale)));
          if (type == GGUFType::Q4_1)
            data.put(floatToHalf(static_cast<float>(group.zero)));
          int64_t shift = type == GGUFType::Q4_0 ? 8 : 0;
          for (size_t i = 0; i < (type == GGUFType::Q8_0 ? 32u : 16u); ++i) {
            int64_t code = group.codes[i] + shift;
            if (type != GGUFType::Q8_0)
              code |= (group.codes[i + 16] + shift) << 4;
            data.put(static_cast<uint8_t>(code));
          }
        }
    } else {
      Type element = cast<RankedTensorType>(weight.getType()).getElementType();
      type = element.isF16() ? GGUFType::F16 : element.isBF16() ? GGUFType::BF16 : GGUFType::F32;
      for (int64_t i = 0; i < numbers.size(); ++i) {
        auto number = static_cast<float>(numbers.real(i));
        if (element.isF32())
          data.put(number);
        else
          data.put(element.isF16() ? floatToHalf(number) : floatToBFloat16(number));
      }
    }
    std::vector<uint64_t> shape = {static_cast<uint64_t>(weight.getShape().back())};
    if (weight.isMatrix())
      shape.push_back(static_cast<uint64_t>(weight.getRows()));
    builder.tensor(weight.getSymName().str(), static_cast<uint32_t>(type), shape, data.bytes);
  }
  return builder.build();
}

namespace {
/// The check of one module.
class Checker {
public:
  Checker(uint64_t seed, CodeChoice choice, const DialectRegistry &registry)
      : seed(seed), choice(choice), context(registry, MLIRContext::Threading::DISABLED) {}

  ModuleVerdict check(const std::string &text) {
    context.getDiagEngine().registerHandler([&](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error) {
        ++numErrors;
        errors += diagnostic.str() + "\n";
      }
      return mlir::success();
    });
    module = parseSourceString<ModuleOp>(text, &context);
    if (!module)
      verdict.failure = "the generated module does not verify: " + errors;
    using Stage = void (Checker::*)();
    constexpr Stage stages[] = {&Checker::checkPasses, &Checker::checkCPU, &Checker::checkGPU};
    for (size_t i = 0; i < std::size(stages) && verdict.failure.empty(); ++i) {
      numErrors = 0;
      errors.clear();
      auto start = std::chrono::steady_clock::now();
      (this->*stages[i])();
      verdict.milliseconds[i] =
          static_cast<int>(std::chrono::duration_cast<std::chrono::milliseconds>(
                               std::chrono::steady_clock::now() - start)
                               .count());
    }
    return verdict;
  }

private:
  void fail(const std::string &message) {
    if (verdict.failure.empty())
      verdict.failure = message + (errors.empty() ? "" : "\n" + errors);
  }
  /// A pipeline that does not lower a module has to say so, and why.
  bool isRefusal(const std::string &pipeline) {
    if (numErrors != 1)
      fail(pipeline + " refused the module with " + std::to_string(numErrors) +
           " errors in place of one");
    return numErrors == 1;
  }
  /// Two of five modules get code for the CPU, one for a GPU.
  bool generatesCPUCode() const { return choice == CodeChoice::All || seed % 5 < 2; }
  bool generatesGPUCode() const { return choice == CodeChoice::All || seed % 5 == 2; }

  ActivationType activations() const {
    return seed % 3 == 0   ? ActivationType::F32
           : seed % 3 == 1 ? ActivationType::BF16
                           : ActivationType::I8;
  }

  /// Results before and after each pass that leaves tensors.
  void checkPasses() {
    OwningOpRef<ModuleOp> copy = module->clone();
    PassManager manager(&context);
    std::string why;
    llvm::raw_string_ostream stream(why);
    const char *types[] = {"f32", "bf16", "i8"};
    std::string pipeline = "canonicalize,cse,loop-invariant-code-motion,llm-raise-attention,"
                           "llm-optimization-pipeline{activations=" +
                           std::string(types[seed % 3]) + "},canonicalize,cse";
    if (mlir::failed(parsePassPipeline(pipeline, manager, stream)))
      return fail("the passes do not parse: " + why);
    PassValidation validation(seed, 2);
    manager.addInstrumentation(validation.createInstrumentation());
    bool succeeded = mlir::succeeded(manager.run(*copy));
    if (validation.failed())
      return fail("a pass changed what the module computes");
    if (!succeeded && !isRefusal("the optimisation pipeline"))
      return;
    verdict.passesChecked = static_cast<int>(validation.runsCompared());
  }

  bool runPhase(ModuleOp target, Phase phase) {
    PassManager manager(&context);
    PipelineOptions options;
    options.activations = activations();
    addPhasePasses(manager, phase, options);
    if (mlir::succeeded(manager.run(target)))
      return true;
    if (isRefusal("the CPU pipeline"))
      ++verdict.refusedByCPU;
    return false;
  }

  /// Code for this machine, run and compared.
  void checkCPU() {
    OwningOpRef<ModuleOp> lowered = module->clone();
    for (Phase phase : {Phase::Input, Phase::Shard, Phase::Optimize})
      if (!runPhase(*lowered, phase))
        return;
    OwningOpRef<ModuleOp> optimized = lowered->clone();
    if (!runPhase(*lowered, Phase::Kernel))
      return;
    StepResources resources;
    if (!packWeights(*lowered, resources) || !runPhase(*lowered, Phase::Target))
      return;
    if (!generatesCPUCode()) {
      ++verdict.loweredByCPU;
      return;
    }
    std::string why;
    std::unique_ptr<CompiledModule> compiled = CompiledModule::create(*lowered, why);
    if (!compiled) {
      if (!why.empty())
        return fail("the code does not load: " + why);
      if (isRefusal("code generation"))
        ++verdict.refusedByCPU;
      return;
    }
    ++verdict.loweredByCPU;
    for (auto function : optimized->getOps<func::FuncOp>())
      if (function->hasAttr("llm.step") || compiled->has(function.getSymName()))
        for (uint64_t inputSeed : {seed, seed + 1})
          compare(*optimized, function, *compiled, resources, inputSeed);
  }

  bool packWeights(ModuleOp lowered, StepResources &resources) {
    resources.workspace = lowered->getAttrOfType<DictionaryAttr>("llm.workspace");
    if (!resources.workspace)
      return true;
    std::vector<uint8_t> bytes = makeCheckpoint(*module, WeightValues(seed));
    auto file = GGUFFile::parse(bytes, "checkpoint");
    if (!file.isOk()) {
      fail("the checkpoint does not parse: " + std::string(file.status().message()));
      return false;
    }
    auto packer = WeightPacker::create(lowered, *file);
    ::llmir::Status status = packer.isOk() ? ::llmir::Status::ok() : packer.status();
    if (packer.isOk())
      status = packer->pack(
          [&](std::span<const uint8_t> piece) {
            resources.weights.insert(resources.weights.end(), piece.begin(), piece.end());
            return ::llmir::Status::ok();
          },
          {.numThreads = 1, .progress = {}, .report = nullptr});
    if (!status.isOk())
      fail("the weights cannot be packed: " + std::string(status.message()));
    return status.isOk();
  }

  void compare(ModuleOp optimized, func::FuncOp function, CompiledModule &compiled,
               const StepResources &resources, uint64_t inputSeed) {
    std::string why;
    FailureOr<FunctionInputs> inputs = makeFunctionInputs(function, inputSeed, why);
    FailureOr<FunctionInputs> again = makeFunctionInputs(function, inputSeed, why);
    if (mlir::failed(inputs) || mlir::failed(again))
      return; // checkPasses has said so.
    WeightValues weights(seed);
    Interpreter interpreter(optimized, weights);
    auto expected = interpreter.run(function, inputs->arguments);
    if (mlir::failed(expected)) {
      if (!interpreter.error().unsupported)
        fail("@" + function.getSymName().str() + " cannot be run: " + interpreter.error().message);
      return;
    }
    bool isStep = function->hasAttr("llm.step");
    auto workers = static_cast<int32_t>(1 + seed % 2);
    std::vector<RuntimeValue> actual = isStep
                                           ? compiled.runStep(function, *again, resources, workers)
                                           : compiled.call(function, *again);
    for (const RuntimeValue &argument : again->arguments)
      if (const auto *cache = std::get_if<CacheValue>(&argument);
          cache && !cache->state->cache().status().isOk())
        return fail("compiled @" + function.getSymName().str() +
                    " broke its cache: " + std::string(cache->state->cache().status().message()));
    Outcome was = makeOutcome(function, *inputs, *expected);
    Outcome is = makeOutcome(function, *again, actual);
    ++verdict.functionsCompared;
    Tolerance tolerance = toleranceFor(optimized);
    // Compiled code computes in f32, with an exponential of its own.
    tolerance.share = std::max(tolerance.share, 2e-4);
    std::optional<std::string> difference = findDifference(was, is, tolerance);
    if (!difference)
      return;
    // Where numbers become codes, one that lies between two may become either, which is the more
    // the fewer codes there are.
    std::optional<double> change = relativeDifference(was, is);
    bool hasCodes = tolerance.share >= 2e-2;
    if (hasCodes && change && *change <= std::max(tolerance.share, tolerance.storage / 4))
      return;
    fail("compiled @" + function.getSymName().str() + " on " + std::to_string(workers) +
         " workers, inputs of seed " + std::to_string(inputSeed) + ": " + *difference +
         (change ? "; root of mean squares " + std::to_string(*change) : ""));
  }

  void checkGPU() {
    OwningOpRef<ModuleOp> copy = module->clone();
    if (!generatesGPUCode()) {
      PassManager manager(&context);
      if (mlir::failed(parsePassPipeline("llm-gpu-pipeline", manager)))
        return fail("the GPU's passes do not parse");
      if (mlir::succeeded(manager.run(*copy)))
        ++verdict.loweredByGPU;
      else if (isRefusal("the GPU pipeline"))
        ++verdict.refusedByGPU;
      return;
    }
    bool isNVIDIA = seed % 2 == 0;
    FailureOr<DeviceCode> code =
        isNVIDIA ? generatePTX(*copy, "sm_90") : generateHSACO(*copy, "gfx942");
    if (mlir::succeeded(code))
      ++verdict.loweredByGPU;
    else if (isRefusal(isNVIDIA ? "the PTX pipeline" : "the HSACO pipeline"))
      ++verdict.refusedByGPU;
  }

  uint64_t seed;
  CodeChoice choice;
  MLIRContext context;
  OwningOpRef<ModuleOp> module;
  ModuleVerdict verdict;
  int numErrors = 0;
  std::string errors;
};
} // namespace

ModuleVerdict checkModule(const std::string &text, uint64_t seed, CodeChoice choice,
                          const DialectRegistry &registry) {
  return Checker(seed, choice, registry).check(text);
}

} // namespace llmir::testing
