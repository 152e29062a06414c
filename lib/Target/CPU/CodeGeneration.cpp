// Drives LLVM: translation, the O3 pipeline, and emission of position-independent code.

#include "llmir/Target/CPU/CodeGeneration.h"
#include "mlir/Dialect/DLTI/DLTI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Triple.h"
#include "llvm/Transforms/IPO/Internalize.h"
#include "llvm/Transforms/Utils/SplitModule.h"
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

/// Runs LLVM's O3 pipeline. The kernels are vector code already, so the automatic vectorisers and
/// the unroller, which would only grow the code, stay off.
static void optimizeModule(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager callGraph;
  llvm::ModuleAnalysisManager modules;
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = false;
  tuning.LoopInterleaving = false;
  tuning.LoopUnrolling = false;
  tuning.SLPVectorization = false;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(callGraph);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, callGraph, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(module, modules);
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

/// Emits the parts of `module` side by side, each in a context of its own.
static Status emitParts(llvm::Module &module, const CodeGenerationOptions &options,
                        std::vector<CodeBuffer> &buffers) {
  std::vector<CodeBuffer> parts;
  llvm::SplitModule(
      module, options.numThreads,
      [&](std::unique_ptr<llvm::Module> part) {
        llvm::raw_svector_ostream stream(parts.emplace_back());
        llvm::WriteBitcodeToFile(*part, stream);
      },
      /*PreserveLocals=*/false, /*RoundRobin=*/true);
  buffers.resize(parts.size());
  std::vector<Status> statuses(parts.size());
  std::vector<std::thread> threads;
  for (size_t index = 0; index < parts.size(); ++index)
    threads.emplace_back([&, index] {
      llvm::LLVMContext context;
      auto part = llvm::parseBitcodeFile(llvm::MemoryBufferRef(parts[index], "part"), context);
      StatusOr<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options.target);
      if (!part)
        statuses[index] = ::llmir::internalError("cannot read back a part of the module: " +
                                                 llvm::toString(part.takeError()));
      else if (!machine)
        statuses[index] = machine.status();
      else
        statuses[index] = emitModule(**part, **machine, options.kind, buffers[index]);
    });
  for (std::thread &thread : threads)
    thread.join();
  for (const Status &status : statuses)
    LLMIR_RETURN_IF_ERROR(status);
  return Status::ok();
}

FailureOr<std::vector<CodeBuffer>> mlir::llm::generateCode(ModuleOp module,
                                                           const CodeGenerationOptions &options,
                                                           CodeGenerationTimes *times) {
  CodeGenerationTimes ignored;
  CodeGenerationTimes &seconds = times ? *times : ignored;
  StatusOr<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options.target);
  if (!machine)
    return module.emitError() << machine.status().message();
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> code;
  {
    ScopedSeconds timer(seconds.translate);
    if (failed(prepareModule(module, options.target, **machine)))
      return failure();
    code = translateModuleToLLVMIR(module, context);
    if (!code)
      return failure();
    prepareFunctions(*code, options);
  }
  {
    ScopedSeconds timer(seconds.optimize);
    optimizeModule(*code, **machine);
  }
  ScopedSeconds timer(seconds.emit);
  std::vector<CodeBuffer> buffers;
  Status status;
  if (options.numThreads > 1 && options.kind == CodeKind::Object)
    status = emitParts(*code, options, buffers);
  else
    status = emitModule(*code, **machine, options.kind, buffers.emplace_back());
  if (!status)
    return module.emitError() << status.message();
  return buffers;
}
