// CheckpointManager: locks, catalogs, and the order of things: pages, manifest, names, catalog,
// and only then what is not needed any more.

#include "llmir/Cache/CheckpointManager.h"

#include "CheckpointChecks.h"
#include "CheckpointFolder.h"
#include "CheckpointPages.h"
#include "CheckpointWriter.h"

#include <algorithm>
#include <string>
#include <unordered_map>
#include <utility>

namespace llmir {

namespace {

Status unknownCheckpoint(std::string_view name, const std::string &folder) {
  return notFound("no checkpoint '" + std::string(name) + "' in " + folder);
}

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

/// Puts a checkpoint's sequences in the place of all that there are.
Status replaceSequences(MappedCheckpoint &checkpoint, PagedKVCache &cache, CheckpointTree *tree) {
  auto needed = static_cast<int64_t>(checkpoint.manifest().blocks.size());
  int64_t numFree = cache.pool().numFree();
  bool areBothContentsHeld = needed <= numFree;
  if (areBothContentsHeld) {
    LLMIR_RETURN_IF_ERROR(checkpoint.readAll());
  } else {
    int64_t available = numFree + blocksOfSequencesAlone(cache);
    if (needed > available)
      return resourceExhausted("block pool exhausted: need " + std::to_string(needed) +
                               " blocks, " + std::to_string(available) +
                               " free without the present sequences, of " +
                               std::to_string(cache.pool().numBlocks()))
          .withContext(describe(checkpoint.manifest().name));
    LLMIR_RETURN_IF_ERROR(checkpoint.verify());
    LLMIR_RETURN_IF_ERROR(freeAllSequences(cache));
    LLMIR_RETURN_IF_ERROR(checkpoint.readAll());
  }
  if (tree)
    LLMIR_RETURN_IF_ERROR(checkpoint.attachTree(*tree));
  if (areBothContentsHeld)
    LLMIR_RETURN_IF_ERROR(freeAllSequences(cache));
  for (const CheckpointSequence &sequence : checkpoint.manifest().sequences)
    LLMIR_RETURN_IF_ERROR(checkpoint.attach(sequence.id));
  return Status::ok();
}

} // namespace

CheckpointManager::CheckpointManager(std::string folder, CheckpointOptions options,
                                     FileSystem &files)
    : folder_(std::move(folder)), options_(std::move(options)), files_(&files) {}

Status CheckpointManager::createCheckpoint(const PagedKVCache &cache, std::string_view name,
                                           const CheckpointTree *tree) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  LLMIR_RETURN_IF_ERROR(checkCheckpointName(name));
  return save(cache, name, tree).withContext("cannot save " + describe(name));
}

Status CheckpointManager::save(const PagedKVCache &cache, std::string_view name,
                               const CheckpointTree *tree) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToChange();
  if (!lock)
    return lock.status();
  StatusOr<CheckpointCatalog> catalog = folder.readCatalog();
  if (!catalog)
    return catalog.status();
  StatusOr<uint64_t> largest = folder.largestNumber();
  if (!largest)
    return largest.status();
  // A save that did not come to its end left files behind: they may be what fills the disk.
  if (*largest >= catalog->nextNumber)
    (void)folder.collect(*catalog);

  uint64_t number = std::max(*largest + 1, catalog->nextNumber);
  if (number >= endOfNumbers)
    return resourceExhausted("expected a number below " + std::to_string(endOfNumbers) +
                             " for the next checkpoint, but got " + std::to_string(number));
  CheckpointWriter writer(folder, options_, cache, number);
  for (const CatalogEntry &entry : catalog->entries)
    // A damaged checkpoint is found when it is loaded; here it only has no pages to offer.
    if (StatusOr<CheckpointManifest> manifest = folder.readManifest(entry))
      writer.reusePagesOf(*manifest);
  StatusOr<CatalogEntry> entry = writer.write(name, tree);
  if (!entry)
    return entry.status();

  auto replaced = std::find_if(catalog->entries.begin(), catalog->entries.end(),
                               [name](const CatalogEntry &old) { return old.name == name; });
  bool isReplacement = replaced != catalog->entries.end();
  if (isReplacement)
    catalog->entries.erase(replaced);
  catalog->nextNumber = entry->number + 1;
  catalog->entries.push_back(*std::move(entry));
  bool isDone = false;
  if (Status status = folder.replaceCatalog(*catalog, isDone); !status.isOk()) {
    if (!isDone)
      writer.discard();
    return isDone ? status.withContext("in place, but perhaps not durable") : status;
  }
  lastSave_ = writer.statistics();
  // The checkpoint stands, whatever becomes of the old one's files.
  if (isReplacement)
    (void)folder.collect(*catalog);
  return Status::ok();
}

StatusOr<MappedCheckpoint> CheckpointManager::mapCheckpoint(PagedKVCache &cache,
                                                            std::string_view name) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status().withContext("cannot load " + describe(name));
  StatusOr<CatalogEntry> entry = findEntry(name);
  if (!entry)
    return entry.status();
  StatusOr<CheckpointManifest> manifest = folder.readManifest(*entry);
  if (!manifest)
    return manifest.status().withContext("cannot load " + describe(name));
  LLMIR_RETURN_IF_ERROR(checkFingerprint(*manifest, cache, options_.model)
                            .withContext("cannot load " + describe(name)));
  StatusOr<CheckpointPages> pages = CheckpointPages::open(folder, *manifest);
  if (!pages)
    return pages.status().withContext("cannot load " + describe(name));
  return MappedCheckpoint(*std::move(manifest), *std::move(pages), cache);
}

Status CheckpointManager::loadCheckpoint(PagedKVCache &cache, std::string_view name,
                                         CheckpointTree *tree) {
  StatusOr<MappedCheckpoint> checkpoint = mapCheckpoint(cache, name);
  if (!checkpoint)
    return checkpoint.status();
  return replaceSequences(*checkpoint, cache, tree);
}

Status CheckpointManager::keepOnly(CheckpointCatalog catalog, std::vector<CatalogEntry> kept) {
  CheckpointFolder folder(folder_, *files_);
  if (kept.size() != catalog.entries.size()) {
    catalog.entries = std::move(kept);
    bool isDone = false;
    LLMIR_RETURN_IF_ERROR(folder.replaceCatalog(catalog, isDone));
  }
  return folder.collect(catalog);
}

Status CheckpointManager::cleanupCheckpoints(int64_t keep) {
  if (keep < 0)
    return invalidArgument("expected 0 or more checkpoints to keep, but got " +
                           std::to_string(keep));
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToChange();
  if (!lock)
    return lock.status();
  StatusOr<CheckpointCatalog> catalog = folder.readCatalog();
  if (!catalog)
    return catalog.status();
  auto count = static_cast<int64_t>(catalog->entries.size());
  std::vector<CatalogEntry> kept(catalog->entries.end() - std::min(keep, count),
                                 catalog->entries.end());
  return keepOnly(*std::move(catalog), std::move(kept)).withContext("cleaning up " + folder_);
}

Status CheckpointManager::removeCheckpoint(std::string_view name) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToChange();
  if (!lock)
    return lock.status();
  StatusOr<CheckpointCatalog> catalog = folder.readCatalog();
  if (!catalog)
    return catalog.status();
  if (!catalog->find(name))
    return unknownCheckpoint(name, folder_);
  std::vector<CatalogEntry> kept;
  for (const CatalogEntry &entry : catalog->entries)
    if (entry.name != name)
      kept.push_back(entry);
  return keepOnly(*std::move(catalog), std::move(kept)).withContext("removing " + describe(name));
}

StatusOr<CatalogEntry> CheckpointManager::findEntry(std::string_view name) {
  StatusOr<CheckpointCatalog> catalog = CheckpointFolder(folder_, *files_).readCatalog();
  if (!catalog)
    return catalog.status();
  const CatalogEntry *entry = catalog->find(name);
  if (!entry)
    return unknownCheckpoint(name, folder_);
  return *entry;
}

StatusOr<std::vector<CheckpointInfo>> CheckpointManager::listCheckpoints() {
  StatusOr<CheckpointCatalog> catalog = CheckpointFolder(folder_, *files_).readCatalog();
  if (!catalog)
    return catalog.status();
  std::vector<CheckpointInfo> infos;
  for (const CatalogEntry &entry : catalog->entries)
    infos.push_back({entry.name, entry.number});
  return infos;
}

StatusOr<CheckpointManifest> CheckpointManager::readManifest(std::string_view name) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status();
  StatusOr<CatalogEntry> entry = findEntry(name);
  return entry ? folder.readManifest(*entry) : entry.status();
}

Status CheckpointManager::verifyCheckpoint(std::string_view name) {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToRead();
  if (!lock)
    return lock.status();
  StatusOr<CatalogEntry> entry = findEntry(name);
  if (!entry)
    return entry.status();
  StatusOr<CheckpointManifest> manifest = folder.readManifest(*entry);
  if (!manifest)
    return manifest.status();
  StatusOr<CheckpointPages> pages = CheckpointPages::open(folder, *manifest);
  if (!pages)
    return pages.status();
  auto blockBytes = static_cast<size_t>(manifest->layout.block_stride);
  for (const CheckpointPage &page : manifest->pages)
    LLMIR_RETURN_IF_ERROR(pages->verify(page, blockBytes).withContext(describe(name)));
  return Status::ok();
}

Status CheckpointManager::repairCatalog() {
  CheckpointFolder folder(folder_, *files_);
  auto lock = folder.lockToChange();
  if (!lock)
    return lock.status();
  StatusOr<CheckpointCatalog> catalog = folder.recoverCatalog();
  if (!catalog)
    return catalog.status();
  bool isDone = false;
  return folder.replaceCatalog(*catalog, isDone);
}

} // namespace llmir
