// The versions of a compilation's step, one for each level of features, and their code.

#include "Compilation.h"
#include "llmir/ABI.h"
#include "llmir/Conversion/LLMToCPU/CPUTarget.h"
#include "llmir/ProfileABI.h"
#include "llvm/ADT/StringExtras.h"

using namespace mlir;
using namespace mlir::llm;
using ::llmir::Status;
using ::llmir::StatusOr;

ModuleOp Compilation::moduleOf(const CodeVersion &version) {
  return version.module ? version.module.get() : module.get();
}

/// Several versions have to be told apart by whoever loads them.
Status Compilation::checkForVersions() const {
  if (!options.processor.empty() || !options.features.empty() || !options.emulatedFeatures.empty())
    return ::llmir::invalidArgument(
        "expected several versions (--multiversion) or a processor, features or emulated features "
        "(--mcpu, --features, --emulate-features), but got both");
  if (!options.lastPhase &&
      (options.emit == EmitKind::Executable || options.emit == EmitKind::Artifact))
    return Status::ok();
  return ::llmir::invalidArgument("expected a product that chooses among several versions when it "
                                  "is loaded (--emit=llmir or exe), but got another");
}

/// From the levels that are asked for, or the one target, to `versions`.
Status Compilation::chooseVersions() {
  if (options.levels.empty()) {
    versions.push_back({"", target, {}, {}, ""});
    return Status::ok();
  }
  LLMIR_RETURN_IF_ERROR(checkForVersions());
  bool wantsAll = options.levels == std::vector<std::string>{"all"};
  std::vector<std::string> names;
  for (const CPULevel &level : cpuLevels()) {
    names.push_back(level.name.str());
    if (!wantsAll && !::llvm::is_contained(options.levels, level.name))
      continue;
    StatusOr<TargetDescription> parsed =
        TargetDescription::parse(options.triple, ::llvm::join(level.features, ","));
    if (!parsed && wantsAll)
      continue; // Of another architecture than the triple's.
    if (!parsed)
      return parsed.status().withContext("level '" + level.name.str() + "'");
    // The one with the fewest features keeps the plain names.
    std::string suffix = versions.empty() ? "" : "_" + level.name.str();
    versions.insert(versions.begin(), CodeVersion{level.name.str(), *parsed, {}, {}, suffix});
  }
  for (const std::string &name : options.levels)
    if (!wantsAll && !::llvm::is_contained(names, name))
      return ::llmir::invalidArgument("unknown level '" + name + "': expected all or some of " +
                                      ::llvm::join(names, ", "));
  if (versions.empty())
    return ::llmir::unimplemented("no level is known for the triple '" + target.triple + "'");
  target = versions.back().target;
  return Status::ok();
}

/// Says in the manifest which versions there are.
void Compilation::listVersions() {
  if (options.levels.empty())
    return;
  for (const CodeVersion &version : versions)
    manifest.versions.push_back({version.level, LLMIR_MODEL_STEP_SYMBOL + version.symbolSuffix,
                                 version.target.features, version.workspace});
}

/// A folder that cannot be used costs time, not the compilation.
void Compilation::openObjectCache() {
  if (options.objectCacheFolder.empty())
    return;
  StatusOr<ObjectCache> opened = ObjectCache::open(options.objectCacheFolder);
  if (opened)
    objectCache = *std::move(opened);
  else
    result.notes.push_back(opened.status().message());
}

Status Compilation::emitCode(CodeVersion &version, CodeGenerationReport &done) {
  CodeGenerationOptions generation;
  generation.target = version.target;
  generation.exportedSymbols = {LLMIR_MODEL_STEP_SYMBOL, LLMIR_MODEL_PROFILE_SYMBOL,
                                LLMIR_MODEL_PROFILE_TABLE_SYMBOL};
  if (version.symbolSuffix.empty())
    generation.exportedSymbols.push_back(LLMIR_MODEL_ABI_VERSION_SYMBOL);
  generation.symbolSuffix = version.symbolSuffix;
  generation.kind = options.emit == EmitKind::LLVMIR     ? CodeKind::LLVMIR
                    : options.emit == EmitKind::Assembly ? CodeKind::Assembly
                                                         : CodeKind::Object;
  // A single object is asked for by name; linking takes as many as there are.
  bool isLinked = generation.kind == CodeKind::Object && options.emit != EmitKind::Object;
  generation.parts = isLinked ? CodeParts::Functions : CodeParts::One;
  generation.numThreads = options.numThreads;
  generation.cache = objectCache ? &*objectCache : nullptr;
  FailureOr<std::vector<CodeBuffer>> generated = generateCode(moduleOf(version), generation, &done);
  if (failed(generated))
    return diagnostics.takeError("code generation failed").withContext("code generation");
  std::move(generated->begin(), generated->end(), std::back_inserter(code));
  return Status::ok();
}

Status Compilation::emitCode() {
  report("code");
  openObjectCache();
  CodeGenerationReport done;
  Status status;
  for (CodeVersion &version : versions)
    if (status)
      status = emitCode(version, done);
  if (objectCache)
    objectCache->prune();
  result.report.add("translate", done.translate);
  result.report.add("llvm", done.compile);
  result.report.countFunctions(done.functions, done.functionsFromCache);
  return status;
}
