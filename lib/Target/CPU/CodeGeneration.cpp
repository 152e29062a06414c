// Drives LLVM: translation, the O3 pipeline, and emission of position-independent code.

#include "llmir/Target/CPU/CodeGeneration.h"
#include "ModuleParts.h"
#include "llmir/Target/CPU/ObjectCache.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/DeadArgumentElimination.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/IPO/SCCP.h"
#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>

using namespace mlir;
using namespace mlir::llm;
using ::llmir::Status;
using ::llmir::StatusOr;

namespace {
/// Adds the seconds of its lifetime to a counter.
class ScopedSeconds {
public:
  explicit ScopedSeconds(double &total) : total(total), start(std::chrono::steady_clock::now()) {}
  ~ScopedSeconds() {
    total += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  double &total;
  std::chrono::steady_clock::time_point start;
};
} // namespace

void mlir::llm::initializeCodeGeneration() {
  static std::once_flag once;
  std::call_once(once, [] {
    llvm::InitializeAllTargetInfos();
    llvm::InitializeAllTargets();
    llvm::InitializeAllTargetMCs();
    llvm::InitializeAllAsmPrinters();
    llvm::InitializeAllAsmParsers();
  });
}

void mlir::llm::registerCodeGenerationDialects(DialectRegistry &registry) {
  registry.insert<DLTIDialect, LLVM::LLVMDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
}

static StatusOr<std::unique_ptr<llvm::TargetMachine>>
createTargetMachine(const TargetDescription &description) {
  initializeCodeGeneration();
  llvm::Triple triple(description.triple);
  std::string error;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return ::llmir::unimplemented("no code generator for the triple '" + description.triple +
                                  "': " + error);
  llvm::TargetOptions options;
  options.FunctionSections = true;
  std::unique_ptr<llvm::TargetMachine> machine(target->createTargetMachine(
      triple, description.codegenCPU(), description.codegenFeatures(), options, llvm::Reloc::PIC_,
      /*CM=*/std::nullopt, llvm::CodeGenOptLevel::Aggressive));
  if (!machine)
    return ::llmir::internalError("cannot create a target machine for the triple '" +
                                  description.triple + "'");
  return machine;
}

/// Names the module's target; fails on what is not LLVM dialect.
static LogicalResult prepareModule(ModuleOp module, const TargetDescription &target,
                                   const llvm::TargetMachine &machine) {
  WalkResult result = module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    if (op == module || isa<LLVM::LLVMDialect>(op->getDialect()))
      return WalkResult::advance();
    op->emitError("expected only operations of the LLVM dialect, but got '")
        << op->getName() << "'; lower the module through the phase 'target' first";
    return WalkResult::interrupt();
  });
  if (result.wasInterrupted())
    return failure();
  MLIRContext *context = module.getContext();
  module->setAttr(LLVM::LLVMDialect::getTargetTripleAttrName(),
                  StringAttr::get(context, target.triple));
  module->setAttr(LLVM::LLVMDialect::getDataLayoutAttrName(),
                  StringAttr::get(context, machine.createDataLayout().getStringRepresentation()));
  return success();
}

/// Makes what is not exported internal and pins the target of every function.
static void prepareFunctions(llvm::Module &module, const CodeGenerationOptions &options) {
  const std::vector<std::string> &exported = options.exportedSymbols;
  if (!exported.empty())
    llvm::internalizeModule(module, [&](const llvm::GlobalValue &value) {
      return llvm::is_contained(exported, value.getName());
    });
  std::string features = options.target.codegenFeatures();
  for (llvm::GlobalValue &value : module.global_values())
    if (!value.isDeclaration() && !options.symbolSuffix.empty())
      value.setName(value.getName() + options.symbolSuffix);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", options.target.codegenCPU());
    function.addFnAttr("tune-cpu", options.target.tuningCPU());
    function.addFnAttr("target-features", features);
    // Compiled models neither throw nor unwind, and their frames need no tables.
    function.setDoesNotThrow();
  }
}

namespace {
/// LLVM's analyses, as every pass pipeline needs them.
struct PassRunner {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder;

  /// The kernels are vector code already, so the automatic vectorisers and the unroller, which
  /// would only grow the code, are off.
  static llvm::PipelineTuningOptions tuning() {
    llvm::PipelineTuningOptions options;
    options.LoopVectorization = false;
    options.LoopInterleaving = false;
    options.LoopUnrolling = false;
    options.SLPVectorization = false;
    return options;
  }

  explicit PassRunner(llvm::TargetMachine &machine) : builder(&machine, tuning()) {
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(callGraph);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, callGraph, modules);
  }
};
} // namespace

/// Runs LLVM's O3 pipeline.
static void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine) {
  PassRunner runner(machine);
  runner.builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3)
      .run(module, runner.modules);
}

/// Hands tile functions the constants that the step calls them with: the one thing that functions
/// compiled apart could not know of each other.
static void propagateConstants(llvm::Module &module, llvm::TargetMachine &machine) {
  PassRunner runner(machine);
  llvm::ModulePassManager passes;
  passes.addPass(llvm::IPSCCPPass());
  passes.addPass(llvm::DeadArgumentEliminationPass());
  passes.run(module, runner.modules);
}

/// Emits one LLVM module as `kind`.
static Status emitModule(llvm::Module &module, llvm::TargetMachine &machine, CodeKind kind,
                         CodeBuffer &buffer) {
  llvm::raw_svector_ostream stream(buffer);
  if (kind == CodeKind::LLVMIR) {
    module.print(stream, nullptr);
    return Status::ok();
  }
  llvm::legacy::PassManager passes;
  auto fileType = kind == CodeKind::Assembly ? llvm::CodeGenFileType::AssemblyFile
                                             : llvm::CodeGenFileType::ObjectFile;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, fileType))
    return ::llmir::unimplemented("LLVM's code generator for '" + machine.getTargetTriple().str() +
                                  "' cannot emit this kind of file");
  passes.run(module);
  return Status::ok();
}

/// Changes whenever optimizeModule() or emitModule() do something else with the same IR, so that
/// objects of before are not taken for those of now.
static constexpr llvm::StringRef kPipelineVersion = "1";

/// What a part's object depends on beside its bitcode.
static std::string describeTarget(const TargetDescription &target) {
  return (llvm::Twine(target.triple) + " " + target.codegenCPU() + " " + target.tuningCPU() + " " +
          target.codegenFeatures() + " LLVM " LLVM_VERSION_STRING " pipeline " + kPipelineVersion)
      .str();
}

/// Optimises one part and emits its object.
static Status compilePart(const ModulePart &part, llvm::TargetMachine &machine,
                          CodeBuffer &buffer) {
  llvm::LLVMContext context;
  auto module = llvm::parseBitcodeFile(
      llvm::MemoryBufferRef(llvm::StringRef(part.data(), part.size()), "part"), context);
  if (!module)
    return ::llmir::internalError("cannot read back a part of the module: " +
                                  llvm::toString(module.takeError()));
  optimizeModule(**module, machine);
  return emitModule(**module, machine, CodeKind::Object, buffer);
}

namespace {
/// Parts on their way to objects; several threads take one after another.
struct PartQueue {
  const std::vector<ModulePart> &parts;
  const CodeGenerationOptions &options;
  std::vector<CodeBuffer> buffers = std::vector<CodeBuffer>(parts.size());
  std::atomic<size_t> next = 0;
  std::atomic<int64_t> fromCache = 0;

  Status work() {
    std::unique_ptr<llvm::TargetMachine> machine;
    std::string target = describeTarget(options.target);
    for (size_t index = next++; index < parts.size(); index = next++) {
      std::string key;
      if (options.cache) {
        llvm::StringRef bitcode(parts[index].data(), parts[index].size());
        key = ObjectCache::computeKey({target, bitcode});
        if (auto object = options.cache->find(key)) {
          buffers[index] = std::move(*object);
          ++fromCache;
          continue;
        }
      }
      if (!machine) {
        StatusOr<std::unique_ptr<llvm::TargetMachine>> created =
            createTargetMachine(options.target);
        if (!created)
          return created.status();
        machine = *std::move(created);
      }
      LLMIR_RETURN_IF_ERROR(compilePart(parts[index], *machine, buffers[index]));
      if (options.cache)
        options.cache->add(key, buffers[index]);
    }
    return Status::ok();
  }
};
} // namespace

/// The objects of all functions of `module`, generated side by side.
static StatusOr<std::vector<CodeBuffer>> compileFunctions(llvm::Module &module,
                                                          llvm::TargetMachine &machine,
                                                          const CodeGenerationOptions &options,
                                                          CodeGenerationReport &report) {
  std::vector<ModulePart> parts;
  {
    ScopedSeconds timer(report.translate);
    propagateConstants(module, machine);
    parts = splitByFunction(module);
  }
  ScopedSeconds timer(report.compile);
  PartQueue queue{parts, options};
  size_t count = std::clamp<size_t>(parts.size(), 1, std::max(1u, options.numThreads));
  std::vector<Status> statuses(count);
  std::vector<std::thread> threads;
  for (size_t index = 1; index < count; ++index)
    threads.emplace_back([&, index] { statuses[index] = queue.work(); });
  statuses[0] = queue.work();
  for (std::thread &thread : threads)
    thread.join();
  for (const Status &status : statuses)
    LLMIR_RETURN_IF_ERROR(status);
  report.functions += static_cast<int64_t>(parts.size());
  report.functionsFromCache += queue.fromCache;
  return std::move(queue.buffers);
}

FailureOr<std::vector<CodeBuffer>> mlir::llm::generateCode(ModuleOp module,
                                                           const CodeGenerationOptions &options,
                                                           CodeGenerationReport *report) {
  CodeGenerationReport ignored;
  CodeGenerationReport &noted = report ? *report : ignored;
  StatusOr<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options.target);
  if (!machine)
    return module.emitError() << machine.status().message();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code;
  {
    ScopedSeconds timer(noted.translate);
    if (failed(prepareModule(module, options.target, **machine)))
      return failure();
    code = translateModuleToLLVMIR(module, context);
    if (!code)
      return failure();
    prepareFunctions(*code, options);
  }
  if (options.parts == CodeParts::Functions) {
    assert(options.kind == CodeKind::Object && "only objects can be linked again");
    auto buffers = compileFunctions(*code, **machine, options, noted);
    if (!buffers)
      return module.emitError() << buffers.status().message();
    return *std::move(buffers);
  }
  ScopedSeconds timer(noted.compile);
  optimizeModule(*code, **machine);
  std::vector<CodeBuffer> buffers(1);
  if (Status status = emitModule(*code, **machine, options.kind, buffers[0]); !status)
    return module.emitError() << status.message();
  return buffers;
}
