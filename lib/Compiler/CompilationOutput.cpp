// The steps of a compilation after the code: weights, manifest, linking, writing.

#include "Compilation.h"
#include "llmir/ABI.h"
#include "llmir/Compiler/InterruptGuard.h"
#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "llvm/Support/MemoryBuffer.h"

using namespace mlir;
using namespace mlir::llm;
using ::llmir::FileAccess;
using ::llmir::Status;
using ::llmir::StatusOr;

/// An attribute that a phase was to leave on the module is not there: a bug of ours.
static Status missingAttribute(StringRef name, StringRef expected) {
  return ::llmir::internalError("expected the module attribute '" + name.str() + "' to be " +
                                expected.str() + " after the phase 'kernel'");
}

StatusOr<int64_t> Compilation::readInteger(StringRef name) const {
  if (auto attribute = (*module)->getAttrOfType<IntegerAttr>(name))
    return attribute.getInt();
  return missingAttribute(name, "an integer");
}

Status Compilation::planWeights() {
  StatusOr<WeightPacker> packer = WeightPacker::create(*module, *file);
  // A layout that cannot be had has a diagnostic, which says more.
  if (!packer)
    return diagnostics.hasError() ? diagnostics.takeError("") : packer.status();
  weights.emplace(*std::move(packer));
  StatusOr<int64_t> planned = readInteger("llm.weights_size");
  if (!planned)
    return planned.status();
  if (*planned != weights->totalBytes())
    return ::llmir::internalError("expected " + std::to_string(*planned) +
                                  " bytes of packed weights ('llm.weights_size'), but got " +
                                  std::to_string(weights->totalBytes()));
  return Status::ok();
}

static ::llmir::CacheParameters getCacheParameters(const llmir_cache_layout &layout) {
  ::llmir::CacheParameters cache;
  cache.keyType = static_cast<::llmir::ElementType>(layout.key_type);
  cache.valueType = static_cast<::llmir::ElementType>(layout.value_type);
  cache.numLayers = layout.num_layers;
  cache.numKVHeads = layout.num_kv_heads;
  cache.keyHeadDim = layout.key_head_dim;
  cache.valueHeadDim = layout.value_head_dim;
  cache.blockSize = layout.block_size;
  cache.maxSeqLen = layout.max_seq_len;
  cache.keyScales = static_cast<::llmir::ScaleGranularity>(layout.key_scale_granularity);
  cache.valueScales = static_cast<::llmir::ScaleGranularity>(layout.value_scale_granularity);
  cache.scaleType = static_cast<::llmir::ElementType>(layout.scale_type);
  cache.keyScaleGroup = layout.key_scale_group;
  cache.valueScaleGroup = layout.value_scale_group;
  cache.arrangement = static_cast<::llmir::CacheArrangement>(layout.arrangement);
  cache.window = layout.window;
  cache.numSinks = layout.num_sinks;
  return cache;
}

Status Compilation::readCaches() {
  auto caches = (*module)->getAttrOfType<ArrayAttr>("llm.caches");
  if (!caches)
    return missingAttribute("llm.caches", "an array of cache types");
  for (auto attribute : caches.getAsRange<TypeAttr>()) {
    auto type = dyn_cast<PagedKVCacheType>(attribute.getValue());
    if (!type)
      return missingAttribute("llm.caches", "an array of cache types");
    manifest.caches.push_back(getCacheParameters(type.getLayout()));
  }
  return Status::ok();
}

Status Compilation::readManifest() {
  manifest.abiVersion = LLMIR_ABI_VERSION;
  manifest.compiler = getCompilerVersion();
  manifest.targetTriple = target.triple;
  manifest.targetFeatures = target.features;
  manifest.options = {{"activations", getName(options.activations).str()},
                      {"kv", getName(options.import.kvElementType).str()},
                      {"weights", describeWeights(options.weights)}};
  if (options.kvCache)
    manifest.options["kv-budget"] = describeCachePlan(options.kvCache);
  manifest.rank = options.rank;
  manifest.worldSize = options.worldSize;
  if (auto name = (*module)->getAttrOfType<StringAttr>("llm.name"))
    manifest.name = name.str();
  if (auto architecture = (*module)->getAttrOfType<StringAttr>("llm.architecture"))
    manifest.architecture = architecture.str();
  std::pair<StringRef, int64_t *> integers[] = {
      {"llm.vocabulary_size", &manifest.vocabularySize},
      {"llm.max_sequence_length", &manifest.maxSequenceLength},
      {"llm.bytes_per_token", &manifest.bytesPerToken}};
  for (auto [name, field] : integers) {
    StatusOr<int64_t> value = readInteger(name);
    if (!value)
      return value.status();
    *field = *value;
  }
  for (CodeVersion &version : versions)
    LLMIR_RETURN_IF_ERROR(readWorkspace(version));
  manifest.workspace = versions.back().workspace;
  listVersions();
  return readCaches();
}

Status Compilation::readWorkspace(CodeVersion &version) {
  auto workspace = moduleOf(version)->getAttrOfType<DictionaryAttr>("llm.workspace");
  if (!workspace)
    return missingAttribute("llm.workspace", "a dictionary of byte counts");
  std::pair<StringRef, int64_t *> sizes[] = {{"fixed", &version.workspace.fixed},
                                             {"per_token", &version.workspace.perToken},
                                             {"per_sequence", &version.workspace.perSequence},
                                             {"per_row", &version.workspace.perRow},
                                             {"per_worker", &version.workspace.perWorker}};
  for (auto [name, field] : sizes) {
    auto size = workspace.getAs<IntegerAttr>(name);
    if (!size)
      return missingAttribute("llm.workspace", "a dictionary with '" + name.str() + "'");
    *field = size.getInt();
  }
  return Status::ok();
}

StatusOr<std::string> Compilation::link(const ScratchFolder &scratch) {
  report("link");
  CompileReport::Timer timer(result.report, "link");
  std::vector<std::string> objects;
  for (auto [index, object] : ::llvm::enumerate(code)) {
    StatusOr<std::string> path = scratch.write("model" + std::to_string(index) + ".o", object);
    if (!path)
      return path.status();
    objects.push_back(*path);
  }
  std::string linked = scratch.pathOf("model");
  std::vector<std::string> steps;
  for (const CodeVersion &version : versions)
    steps.push_back(LLMIR_MODEL_STEP_SYMBOL + version.symbolSuffix);
  Status status = options.emit == EmitKind::Executable
                      ? linkProgram(objects, linked, {options.executableFolder, steps}, scratch)
                      : linkSharedObject(objects, linked, scratch);
  // Ctrl-C also ends the linker, whose failure is then not the news.
  LLMIR_RETURN_IF_ERROR(InterruptGuard::check());
  LLMIR_RETURN_IF_ERROR(status);
  return linked;
}

Status Compilation::writeLinked(const std::string &linked) {
  CompileReport::Timer timer(result.report, "write");
  if (!wantsWeights()) {
    auto bytes = ::llvm::MemoryBuffer::getFile(linked);
    if (!bytes)
      return ::llmir::internalError(linked + ": " + bytes.getError().message());
    return writeOutput((*bytes)->getBuffer());
  }
  StatusOr<std::string> hex = fingerprint.get();
  if (!hex)
    return hex.status();
  manifest.fingerprint = *hex;
  ArtifactContent content{manifest, file->copyMetadata(), &*weights};
  ArtifactTarget artifact{options.outputPath, options.emit == EmitKind::Executable
                                                  ? FileAccess::Executable
                                                  : FileAccess::Data};
  WeightPackingOptions packing;
  packing.numThreads = options.numThreads;
  packing.report = &result.quantization;
  packing.progress = [this](int64_t done, int64_t total) { report("weights", done, total); };
  return writeArtifact(linked, std::move(content), artifact, packing);
}

Status Compilation::emitLinked() {
  InterruptGuard guard;
  StatusOr<ScratchFolder> scratch = ScratchFolder::create();
  if (!scratch)
    return scratch.status();
  StatusOr<std::string> linked = link(*scratch);
  if (!linked)
    return linked.status();
  return writeLinked(*linked);
}
