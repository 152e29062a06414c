// The steps of a compilation up to the code: input, import, phases, code generation.

#include "Compilation.h"
#include "llmir/ABI.h"
#include "llmir/Compiler/Fingerprint.h"
#include "llmir/Conversion/LLMToCPU/CPUTarget.h"
#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;
using namespace mlir::llm;
using ::llmir::AtomicFile;
using ::llmir::GGUFFile;
using ::llmir::Status;
using ::llmir::StatusOr;

DialectRegistry mlir::llm::makeCompilerRegistry() {
  DialectRegistry registry;
  registry.insert<LLMDialect, func::FuncDialect>();
  func::registerInlinerExtension(registry);
  registerCodeGenerationDialects(registry);
  return registry;
}

Compilation::Compilation(const CompileOptions &options, CompileResult &result)
    : options(options), result(result), context(makeCompilerRegistry()), diagnostics(&context) {
  // Printing IR after passes needs their order.
  if (options.printIRAfterAll)
    context.disableMultithreading();
}

bool Compilation::wantsText() const {
  return options.lastPhase || options.emit == EmitKind::MLIR || options.emit == EmitKind::LLVMIR ||
         options.emit == EmitKind::Assembly;
}

bool Compilation::wantsWeights() const {
  return !options.lastPhase &&
         (options.emit == EmitKind::Executable || options.emit == EmitKind::Artifact);
}

bool Compilation::writesFile() const {
  return !options.outputPath.empty() && options.outputPath != "-";
}

void Compilation::report(StringRef step, int64_t done, int64_t total) const {
  if (options.progress)
    options.progress(step, done, total);
}

Status Compilation::run() {
  LLMIR_RETURN_IF_ERROR(checkOptions());
  LLMIR_RETURN_IF_ERROR(openInput());
  if (wantsWeights())
    startFingerprint();
  LLMIR_RETURN_IF_ERROR(importModel());
  recordCaches();
  LLMIR_RETURN_IF_ERROR(runPhases());
  if (options.lastPhase || options.emit == EmitKind::MLIR)
    return emitIR();
  LLMIR_RETURN_IF_ERROR(emitCode());
  switch (options.emit) {
  case EmitKind::MLIR:
  case EmitKind::LLVMIR:
  case EmitKind::Assembly:
  case EmitKind::Object:
    return writeOutput(code.front());
  case EmitKind::SharedObject:
  case EmitKind::Executable:
  case EmitKind::Artifact:
    return emitLinked();
  }
  return Status::ok();
}

/// Fails early on what would otherwise be found out after the work.
Status Compilation::checkOptions() {
  if (!writesFile() && !wantsText())
    return ::llmir::invalidArgument("expected an output path (-o) for a binary product");
  if (options.worldSize < 1 || options.rank < 0 || options.rank >= options.worldSize)
    return ::llmir::invalidArgument("expected a rank below the size of its world, but got rank " +
                                    std::to_string(options.rank) + " of " +
                                    std::to_string(options.worldSize));
  if (options.emit == EmitKind::Executable && !options.lastPhase &&
      !TargetDescription::isHost(options.triple))
    return ::llmir::unimplemented("a program for the triple '" + options.triple +
                                  "': the runtime that it would be linked with is this host's; "
                                  "compile an artifact (--emit=llmir) and run it there");
  // Without a word of the processor: the host's features, or the least that another triple has.
  bool isNative = options.processor.empty() && options.features.empty() &&
                  TargetDescription::isHost(options.triple);
  StatusOr<TargetDescription> parsed = TargetDescription::parse(
      options.triple, isNative ? "native" : options.features, options.processor);
  if (!parsed)
    return parsed.status();
  target = *parsed;
  LLMIR_RETURN_IF_ERROR(chooseVersions());
  if (const CPULevel *level = findCPULevel(options.emulatedFeatures))
    emulatedFeatures.assign(level->features.begin(), level->features.end());
  else {
    parsed = TargetDescription::parse(target.triple, options.emulatedFeatures);
    if (!parsed)
      return parsed.status().withContext("--emulate-features");
    emulatedFeatures = parsed->withImplied();
  }
  if (!writesFile())
    return Status::ok();
  StatusOr<AtomicFile> probe = AtomicFile::create(options.outputPath);
  return probe.status();
}

Status Compilation::openInput() {
  report("import");
  CompileReport::Timer timer(result.report, "open");
  StatusOr<GGUFFile> opened = GGUFFile::open(options.inputPath);
  if (!opened)
    return opened.status();
  file.emplace(*std::move(opened));
  return Status::ok();
}

/// Hashes the checkpoint beside the other steps; writeLinked waits for it.
void Compilation::startFingerprint() {
  std::vector<std::string> settings = {
      getCompilerVersion(),
      getName(options.activations).str(),
      describeWeights(options.weights),
      getName(options.import.kvElementType).str(),
      describeCachePlan(options.kvCache),
      std::to_string(options.import.blockSize),
      std::to_string(options.import.maxSequenceLength.value_or(0)),
      std::to_string(options.rank) + " of " + std::to_string(options.worldSize),
      target.triple,
      options.import.takesTreeMasks ? "tree masks" : "no tree masks",
      "emulating " + llvm::join(emulatedFeatures, ","),
      options.profile ? "with profile" : "without profile",
  };
  for (const CodeVersion &version : versions)
    settings.push_back(version.level + " " + version.target.codegenFeatures());
  fingerprint = std::async(std::launch::async, [this, settings = std::move(settings)] {
    return computeFingerprint(*file, settings);
  });
}

Status Compilation::importModel() {
  CompileReport::Timer timer(result.report, "import");
  module = importGGUF(&context, *file, options.import);
  if (!module)
    return diagnostics.takeError(options.inputPath + ": cannot import the model");
  return Status::ok();
}

/// Notes the types of the step's caches on the module before lowering loses them.
void Compilation::recordCaches() {
  SmallVector<Attribute> types;
  for (auto function : module->getOps<func::FuncOp>())
    if (function->hasAttr("llm.step"))
      for (Type type : function.getArgumentTypes())
        if (isa<PagedKVCacheType>(type))
          types.push_back(TypeAttr::get(type));
  (*module)->setAttr("llm.caches", ArrayAttr::get(&context, types));
}

Status Compilation::runPhases() {
  for (Phase phase : allPhases()) {
    if (options.lastPhase && phase > *options.lastPhase)
      break;
    // Up to here the IR is the same for every processor.
    if (phase == Phase::Kernel)
      for (CodeVersion &version : versions)
        if (&version != &versions.back())
          version.module = cast<ModuleOp>((*module)->clone());
    for (CodeVersion &version : versions)
      if (phase >= Phase::Kernel || &version == &versions.back())
        LLMIR_RETURN_IF_ERROR(runPhase(phase, version));
    // Of which this rank has a part, and which may have been planned anew.
    if (phase == Phase::Shard || phase == Phase::Optimize)
      recordCaches();
    // Only here are the weights' offsets and the memory contract known and still on ops.
    if (phase == Phase::Kernel && wantsWeights()) {
      LLMIR_RETURN_IF_ERROR(planWeights());
      LLMIR_RETURN_IF_ERROR(readManifest());
    }
  }
  return Status::ok();
}

Status Compilation::runPhase(Phase phase, CodeVersion &version) {
  StringRef name = phaseName(phase);
  report(name);
  CompileReport::Timer timer(result.report, name);
  PipelineOptions pipeline;
  pipeline.activations = options.activations;
  pipeline.features = version.target.withImplied();
  pipeline.emulatedFeatures = emulatedFeatures;
  pipeline.profile = options.profile;
  pipeline.worldSize = options.worldSize;
  pipeline.rank = options.rank;
  pipeline.weights = options.weights;
  pipeline.kvCache = options.kvCache;
  if (pipeline.weights)
    pipeline.weights->checkpoint = options.inputPath;
  PassManager manager(&context);
  manager.addInstrumentation(result.statistics.createInstrumentation());
  if (options.printIRAfterAll)
    manager.enableIRPrinting([](Pass *, Operation *) { return false; },
                             [](Pass *, Operation *) { return true; });
  addPhasePasses(manager, phase, pipeline);
  if (failed(manager.run(moduleOf(version))))
    return diagnostics.takeError("a pass failed without saying why")
        .withContext("phase '" + name.str() + "'");
  return Status::ok();
}

Status Compilation::emitIR() {
  CompileReport::Timer timer(result.report, "print");
  std::string text;
  ::llvm::raw_string_ostream stream(text);
  module->print(stream, OpPrintingFlags().printNameLocAsPrefix());
  stream << "\n";
  return writeOutput(text);
}

Status Compilation::writeOutput(StringRef bytes) {
  if (!writesFile()) {
    result.text = bytes.str();
    return Status::ok();
  }
  StatusOr<AtomicFile> output = AtomicFile::create(options.outputPath);
  if (!output)
    return output.status();
  LLMIR_RETURN_IF_ERROR(output->write(std::string_view(bytes)));
  return output->commit();
}
