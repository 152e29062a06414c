// LoadedModel: checks first, then code, then weights, so that a file for another host fails before
// a byte of its weights is read and before any of its code could run.

#include "llmir/Engine/LoadedModel.h"

#include "llmir/Base/MappedFile.h"
#include "llmir/Engine/ELFSections.h"

#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <optional>

namespace llmir {

namespace {

using Bytes = std::span<const uint8_t>;

constexpr const char *manifestSection = ".llmir.manifest";
constexpr const char *tokenizerSection = ".llmir.tokenizer";
constexpr const char *weightsSection = ".llmir.weights";

StatusOr<Bytes> findSection(Bytes file, const ELFSections &sections, const char *name) {
  StatusOr<ELFSection> section = sections.find(name);
  if (!section)
    return section.status().code() == StatusCode::NotFound
               ? dataLoss("not a compiled model: " + section.status().message())
               : section.status();
  return file.subspan(section->offset, section->size);
}

StatusOr<Manifest> readManifestSection(Bytes file, const ELFSections &sections) {
  StatusOr<Bytes> bytes = findSection(file, sections, manifestSection);
  if (!bytes)
    return bytes.status();
  return parseManifest({reinterpret_cast<const char *>(bytes->data()), bytes->size()});
}

Status checkAbiVersion(const std::string &where, int64_t version) {
  if (version == LLMIR_ABI_VERSION)
    return Status::ok();
  return failedPrecondition("expected ABI version " + std::to_string(LLMIR_ABI_VERSION) + ", but " +
                            where + " has " + std::to_string(version) +
                            "; compile the model again with this version");
}

Status checkFeatures(const std::vector<std::string> &required, const CPUFeatures &host) {
  if (std::optional<std::string> missing = host.firstMissing(required))
    return failedPrecondition("the model is compiled for a processor with '" + *missing +
                              "', which this host lacks; compile it for this host");
  return enableCPUFeatures(required);
}

std::string hashOf(Bytes bytes) {
  XXH128_canonical_t canonical;
  XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
  std::string hex;
  for (unsigned char byte : canonical.digest) {
    hex += "0123456789abcdef"[byte >> 4];
    hex += "0123456789abcdef"[byte & 15];
  }
  return hex;
}

/// Copies `source` to `target`, a share of whole pages by each worker, so that the pages are first
/// touched on several cores; in rounds, to report progress.
void copyInParallel(uint8_t *target, Bytes source, const LoadOptions &options) {
  constexpr int64_t round = int64_t(64) << 20;
  auto total = static_cast<int64_t>(source.size());
  for (int64_t done = 0; done < total;) {
    int64_t count = std::min(round, total - done);
    auto copyShare = [&](int32_t worker, int32_t workers) {
      WorkRange range = splitEvenly(count, HostMemory::alignment, worker, workers);
      if (range.begin < range.end)
        std::memcpy(target + done + range.begin, source.data() + done + range.begin,
                    static_cast<size_t>(range.end - range.begin));
    };
    if (options.team)
      options.team->run([&](int32_t worker) { copyShare(worker, options.team->size()); });
    else
      copyShare(0, 1);
    done += count;
    if (options.progress)
      options.progress(done, total);
  }
}

/// Lets go of the whole pages of a file mapping that is not read again; the file keeps its content.
void dropPages(Bytes bytes) {
  auto pageSize = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  auto start = reinterpret_cast<uintptr_t>(bytes.data());
  uintptr_t first = (start + pageSize - 1) & ~(pageSize - 1);
  uintptr_t end = (start + bytes.size()) & ~(pageSize - 1);
  if (first < end)
    madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
}

} // namespace

struct LoadedModel::File {
  std::optional<MappedFile> mapped;
  Bytes tokenizer;
  Bytes weights;
  void *library = nullptr;
};

LoadedModel::LoadedModel() : file_(std::make_unique<File>()) {}

LoadedModel::~LoadedModel() {
  if (file_->library)
    dlclose(file_->library);
}

StatusOr<Manifest> LoadedModel::readManifest(const std::string &path) {
  StatusOr<MappedFile> file = MappedFile::open(path);
  if (!file)
    return file.status();
  StatusOr<ELFSections> sections = ELFSections::read(file->bytes());
  if (!sections)
    return sections.status().withContext(path);
  StatusOr<Manifest> manifest = readManifestSection(file->bytes(), *sections);
  return manifest ? manifest : manifest.status().withContext(path);
}

/// The error with the file's name before it, unless it has that already.
static Status namingFile(const Status &status, const std::string &path) {
  return status.message().starts_with(path + ": ") ? status : status.withContext(path);
}

StatusOr<std::unique_ptr<LoadedModel>> LoadedModel::open(const std::string &path,
                                                         const LoadOptions &options) {
  std::unique_ptr<LoadedModel> model(new LoadedModel);
  if (Status status = model->loadSections(path, options); !status.isOk())
    return namingFile(status, path);
  if (Status status = model->loadCode(path); !status.isOk())
    return namingFile(status, path);
  if (Status status = model->loadWeights(options); !status.isOk())
    return namingFile(status, path);
  return model;
}

StatusOr<std::unique_ptr<LoadedModel>>
LoadedModel::openSelf(std::span<const llmir_linked_step> steps, uint32_t abiVersion,
                      const LoadOptions &options) {
  const std::string path = "/proc/self/exe";
  LLMIR_RETURN_IF_ERROR(checkAbiVersion("the code linked in", abiVersion));
  std::unique_ptr<LoadedModel> model(new LoadedModel);
  if (Status status = model->loadSections(path, options); !status.isOk())
    return status.withContext("this program");
  for (const llmir_linked_step &linked : steps)
    if (model->stepSymbol_ == linked.symbol)
      model->step_ = linked.step;
  if (!model->step_)
    return dataLoss("this program: no step function '" + model->stepSymbol_ + "' is linked in");
  if (Status status = model->loadWeights(options); !status.isOk())
    return status.withContext("this program");
  return model;
}

Status LoadedModel::loadSections(const std::string &path, const LoadOptions &options) {
  StatusOr<MappedFile> mapped = MappedFile::open(path);
  if (!mapped)
    return mapped.status();
  file_->mapped = *std::move(mapped);
  Bytes file = file_->mapped->bytes();
  StatusOr<ELFSections> sections = ELFSections::read(file);
  if (!sections)
    return sections.status();
  StatusOr<Manifest> manifest = readManifestSection(file, *sections);
  if (!manifest)
    return manifest.status();
  manifest_ = *std::move(manifest);
  LLMIR_RETURN_IF_ERROR(checkAbiVersion("the manifest", manifest_.abiVersion));
  LLMIR_RETURN_IF_ERROR(chooseVersion(options));

  for (const CacheParameters &cache : manifest_.caches) {
    StatusOr<llmir_cache_layout> layout = makeCacheLayout(cache);
    if (!layout)
      return layout.status();
    cacheLayouts_.push_back(*layout);
  }
  StatusOr<Bytes> tokenizer = findSection(file, *sections, tokenizerSection);
  if (!tokenizer)
    return tokenizer.status();
  StatusOr<Bytes> weights = findSection(file, *sections, weightsSection);
  if (!weights)
    return weights.status();
  if (static_cast<int64_t>(weights->size()) != manifest_.weightBytes)
    return dataLoss("expected section '" + std::string(weightsSection) + "' to have " +
                    std::to_string(manifest_.weightBytes) + " bytes, but got " +
                    std::to_string(weights->size()));
  file_->tokenizer = *tokenizer;
  file_->weights = *weights;
  return Status::ok();
}

/// Takes the first version whose features the host has, and its place in the manifest.
Status LoadedModel::chooseVersion(const LoadOptions &options) {
  const CPUFeatures &host = options.features ? *options.features : CPUFeatures::host();
  stepSymbol_ = LLMIR_MODEL_STEP_SYMBOL;
  std::string levels;
  const ModelVersion *chosen = nullptr;
  for (const ModelVersion &version : manifest_.versions) {
    levels += (levels.empty() ? "" : ", ") + version.level;
    if (chosen)
      continue;
    // What the processor has, the operating system may still refuse (AMX tiles).
    bool fits = options.level.empty() ? checkFeatures(version.features, host).isOk()
                                      : version.level == options.level;
    if (fits)
      chosen = &version;
  }
  if (!chosen && !options.level.empty())
    return notFound(manifest_.versions.empty()
                        ? "expected a model with a version for level '" + options.level +
                              "', but it has one version only; compile it with --multiversion"
                        : "expected a level of " + levels + ", but got '" + options.level + "'");
  if (chosen) {
    level_ = chosen->level;
    stepSymbol_ = chosen->symbol;
    manifest_.targetFeatures = chosen->features;
    manifest_.workspace = chosen->workspace;
  }
  return checkFeatures(manifest_.targetFeatures, host);
}

Status LoadedModel::loadCode(const std::string &path) {
  // A name without a slash would be searched for in the system's folders.
  std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  file_->library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!file_->library)
    return dataLoss(std::string("the code cannot be loaded: ") + dlerror());
  auto *version =
      static_cast<const uint32_t *>(dlsym(file_->library, LLMIR_MODEL_ABI_VERSION_SYMBOL));
  if (!version)
    return dataLoss("the code has no symbol '" LLMIR_MODEL_ABI_VERSION_SYMBOL "'");
  LLMIR_RETURN_IF_ERROR(checkAbiVersion("the code", *version));
  step_ = reinterpret_cast<llmir_step_fn>(dlsym(file_->library, stepSymbol_.c_str()));
  if (!step_)
    return dataLoss("the code has no symbol '" + stepSymbol_ + "'");
  // What ends the name of a version's step ends those of its profile, too.
  std::string ending = stepSymbol_.starts_with(LLMIR_MODEL_STEP_SYMBOL)
                           ? stepSymbol_.substr(std::strlen(LLMIR_MODEL_STEP_SYMBOL))
                           : "";
  profile_ = reinterpret_cast<llmir_profile_fn>(
      dlsym(file_->library, (LLMIR_MODEL_PROFILE_SYMBOL + ending).c_str()));
  profileTable_ = static_cast<const char *>(
      dlsym(file_->library, (LLMIR_MODEL_PROFILE_TABLE_SYMBOL + ending).c_str()));
  return Status::ok();
}

Status LoadedModel::loadWeights(const LoadOptions &options) {
  Bytes source = file_->weights;
  StatusOr<HostMemory> memory = HostMemory::allocate(source.size());
  if (!memory)
    return memory.status().withContext("weights");
  weights_ = *std::move(memory);
  copyInParallel(weights_.data(), source, options);
  dropPages(source);
  if (options.weightCheck == WeightCheck::Skip)
    return Status::ok();
  if (std::string hash = hashOf(weights_.bytes()); hash != manifest_.weightHash)
    return dataLoss("expected the weights to have the hash " + manifest_.weightHash + ", but got " +
                    hash);
  return Status::ok();
}

Bytes LoadedModel::tokenizer() const { return file_->tokenizer; }

int64_t LoadedModel::workspaceBytes(int64_t tokens, int64_t sequences, int64_t rows,
                                    int64_t workers) const {
  int64_t bytes = manifest_.workspace.bytes(tokens, sequences, rows, workers);
  return (bytes + LLMIR_ALIGNMENT - 1) / LLMIR_ALIGNMENT * LLMIR_ALIGNMENT;
}

} // namespace llmir
