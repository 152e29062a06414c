// CheckpointManager: loading: fingerprints, mapping, and the exchange of one content for another in
// several caches at once.

#include "CheckpointFolder.h"
#include "CheckpointPages.h"
#include "llmir/Cache/CheckpointManager.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

std::string describe(std::string_view name) { return "checkpoint '" + std::string(name) + "'"; }

/// Ok when a checkpoint's content can be brought into `cache`.
Status checkFingerprint(const CheckpointManifest &manifest, const PagedKVCache &cache,
                        const std::string &model) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  if (!model.empty() && manifest.model != model)
    return failedPrecondition("expected a checkpoint with 'model' " + model + ", but it has " +
                              (manifest.model.empty() ? "none" : manifest.model));
  return checkSameLayout(cache.layout(), manifest.layout);
}

/// Blocks that become free when all sequences of `cache` go.
int64_t blocksOfSequencesAlone(const PagedKVCache &cache) {
  std::unordered_map<int32_t, int32_t> owners;
  for (SequenceId id : cache.sequenceIds())
    if (auto blocks = cache.blocks(id))
      for (BlockId block : *blocks)
        ++owners[block.index];
  return std::count_if(owners.begin(), owners.end(), [&cache](const auto &entry) {
    return cache.pool().useCount(entry.first) == entry.second;
  });
}

Status freeAllSequences(PagedKVCache &cache) {
  for (SequenceId id : cache.sequenceIds())
    LLMIR_RETURN_IF_ERROR(cache.freeSequence(id));
  return Status::ok();
}

/// Takes the place of all that a cache holds by a checkpoint's sequences, in two steps, of which
/// the second cannot fail for reasons that can be known before.
class Replacement {
public:
  Replacement(MappedCheckpoint &checkpoint, PagedKVCache &cache)
      : checkpoint_(checkpoint), cache_(cache) {}

  /// Reads everything if both contents fit; otherwise checks that the new one does, and its pages.
  Status prepare() {
    auto needed = static_cast<int64_t>(checkpoint_.manifest().blocks.size());
    int64_t numFree = cache_.pool().numFree();
    isRead_ = needed <= numFree;
    if (isRead_)
      return checkpoint_.readAll();
    int64_t available = numFree + blocksOfSequencesAlone(cache_);
    if (needed > available)
      return resourceExhausted("block pool exhausted: need " + std::to_string(needed) +
                               " blocks, " + std::to_string(available) +
                               " free without the present sequences, of " +
                               std::to_string(cache_.pool().numBlocks()))
          .withContext(describe(checkpoint_.manifest().name));
    return checkpoint_.verify();
  }

  Status finish(CheckpointTree *tree) {
    if (!isRead_) {
      LLMIR_RETURN_IF_ERROR(freeAllSequences(cache_));
      LLMIR_RETURN_IF_ERROR(checkpoint_.readAll());
    }
    if (tree)
      LLMIR_RETURN_IF_ERROR(checkpoint_.attachTree(*tree));
    if (isRead_)
      LLMIR_RETURN_IF_ERROR(freeAllSequences(cache_));
    for (const CheckpointSequence &sequence : checkpoint_.manifest().sequences)
      LLMIR_RETURN_IF_ERROR(checkpoint_.attach(sequence.id));
    return Status::ok();
  }

private:
  MappedCheckpoint &checkpoint_;
  PagedKVCache &cache_;
  bool isRead_ = false;
};

} // namespace

Status unknownCheckpoint(std::string_view name, const std::string &folder) {
  return notFound("no checkpoint '" + std::string(name) + "' in " + folder);
}

StatusOr<MappedCheckpoint> CheckpointManager::mapCheckpoint(PagedKVCache &cache,
                                                            std::string_view name) {
  PagedKVCache *caches[] = {&cache};
  StatusOr<std::vector<MappedCheckpoint>> parts = mapCheckpoint(caches, name);
  if (!parts)
    return parts.status();
  return std::move(parts->front());
}

StatusOr<std::vector<MappedCheckpoint>>
CheckpointManager::mapCheckpoint(std::span<PagedKVCache *const> caches, std::string_view name) {
  std::string context = "cannot load " + describe(name);
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status().withContext(context);
  StatusOr<std::vector<CatalogEntry>> entries = findParts(name);
  if (!entries)
    return entries.status();
  if (entries->size() != caches.size())
    return failedPrecondition(context + ": expected a checkpoint of " +
                              std::to_string(caches.size()) +
                              (caches.size() == 1 ? " cache" : " caches") + ", but it has " +
                              std::to_string(entries->size()));
  std::vector<MappedCheckpoint> parts;
  for (size_t i = 0; i < caches.size(); ++i) {
    StatusOr<CheckpointManifest> manifest = folder.readManifest((*entries)[i]);
    if (!manifest)
      return manifest.status().withContext(context);
    LLMIR_RETURN_IF_ERROR(
        checkFingerprint(*manifest, *caches[i], options_.model).withContext(context));
    StatusOr<CheckpointPages> pages = CheckpointPages::open(folder, *manifest);
    if (!pages)
      return pages.status().withContext(context);
    parts.emplace_back(*std::move(manifest), *std::move(pages), *caches[i]);
  }
  return parts;
}

Status CheckpointManager::loadCheckpoint(PagedKVCache &cache, std::string_view name,
                                         CheckpointTree *tree) {
  PagedKVCache *caches[] = {&cache};
  return loadCheckpoint(caches, name, tree);
}

Status CheckpointManager::loadCheckpoint(QuantizedPagedKVCache &cache, std::string_view name) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  std::vector<PagedKVCache *> caches;
  for (PagedKVCache &part : cache.caches())
    caches.push_back(&part);
  return loadCheckpoint(caches, name);
}

Status CheckpointManager::loadCheckpoint(std::span<PagedKVCache *const> caches,
                                         std::string_view name, CheckpointTree *tree) {
  StatusOr<std::vector<MappedCheckpoint>> parts = mapCheckpoint(caches, name);
  if (!parts)
    return parts.status();
  std::vector<Replacement> replacements;
  for (size_t i = 0; i < caches.size(); ++i) {
    replacements.emplace_back((*parts)[i], *caches[i]);
    LLMIR_RETURN_IF_ERROR(replacements.back().prepare());
  }
  for (size_t i = 0; i < caches.size(); ++i)
    LLMIR_RETURN_IF_ERROR(replacements[i].finish(i == 0 ? tree : nullptr));
  return Status::ok();
}

StatusOr<std::vector<CatalogEntry>> CheckpointManager::findParts(std::string_view name) {
  StatusOr<CheckpointCatalog> catalog = CheckpointFolder(folder_, *files_).readCatalog();
  if (!catalog)
    return catalog.status();
  std::span<const CatalogEntry> parts = catalog->find(name);
  if (parts.empty())
    return unknownCheckpoint(name, folder_);
  return std::vector<CatalogEntry>(parts.begin(), parts.end());
}

StatusOr<std::vector<CheckpointInfo>> CheckpointManager::listCheckpoints() {
  StatusOr<CheckpointCatalog> catalog = CheckpointFolder(folder_, *files_).readCatalog();
  if (!catalog)
    return catalog.status();
  std::vector<CheckpointInfo> infos;
  for (const CatalogEntry &entry : catalog->entries) {
    if (entry.part == 0)
      infos.push_back({entry.name, entry.number, 0});
    ++infos.back().numParts;
  }
  return infos;
}

StatusOr<CheckpointManifest> CheckpointManager::readManifest(std::string_view name, uint32_t part) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status();
  StatusOr<std::vector<CatalogEntry>> entries = findParts(name);
  if (!entries)
    return entries.status();
  if (part >= entries->size())
    return invalidArgument(describe(name) + ": expected a part below " +
                           std::to_string(entries->size()) + ", but got " + std::to_string(part));
  return folder.readManifest((*entries)[part]);
}

Status CheckpointManager::verifyCheckpoint(std::string_view name) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status();
  StatusOr<std::vector<CatalogEntry>> entries = findParts(name);
  if (!entries)
    return entries.status();
  for (const CatalogEntry &entry : *entries) {
    StatusOr<CheckpointManifest> manifest = folder.readManifest(entry);
    if (!manifest)
      return manifest.status();
    if (manifest->layout.struct_size != sizeof manifest->layout)
      return failedPrecondition(describe(name) + ": expected 'struct_size' " +
                                std::to_string(sizeof manifest->layout) + ", but it has " +
                                std::to_string(manifest->layout.struct_size));
    StatusOr<CheckpointPages> pages = CheckpointPages::open(folder, *manifest);
    if (!pages)
      return pages.status();
    auto blockBytes = static_cast<size_t>(manifest->layout.block_stride);
    for (const CheckpointPage &page : manifest->pages)
      LLMIR_RETURN_IF_ERROR(pages->verify(page, blockBytes).withContext(describe(name)));
  }
  return Status::ok();
}

} // namespace llmir
