// CheckpointManager: saving and removing: locks, catalogs, and the order of things: pages,
// manifests, names, catalog, and only then what is not needed any more. Loading is in
// CheckpointLoading.cpp.

#include "llmir/Cache/CheckpointManager.h"

#include "CheckpointChecks.h"
#include "CheckpointFolder.h"
#include "CheckpointWriter.h"

#include <algorithm>
#include <deque>
#include <string>
#include <utility>

namespace llmir {

namespace {

std::string describe(std::string_view name) { return "checkpoint '" + std::string(name) + "'"; }

/// The parts of one checkpoint as they are written; what is not committed is removed.
class CheckpointSave {
public:
  CheckpointSave(CheckpointFolder &folder, const CheckpointOptions &options)
      : folder_(folder), options_(options) {}
  ~CheckpointSave() {
    if (!isCommitted_)
      for (CheckpointWriter &writer : writers_)
        writer.discard();
  }

  /// Makes a writer for each cache, with numbers from `firstNumber` on.
  void start(std::span<const PagedKVCache *const> caches, uint64_t firstNumber) {
    for (uint32_t part = 0; part < caches.size(); ++part)
      writers_.emplace_back(
          folder_, options_, *caches[part],
          CheckpointWriter::Part{firstNumber + part, part, static_cast<uint32_t>(caches.size())});
  }
  void reusePagesOf(const CheckpointManifest &manifest) {
    for (CheckpointWriter &writer : writers_)
      writer.reusePagesOf(manifest);
  }
  /// Writes all parts, and makes their names durable: a catalog may name them then.
  Status write(std::string_view name, const CheckpointTree *tree) {
    for (CheckpointWriter &writer : writers_) {
      StatusOr<CatalogEntry> entry = writer.write(name, entries_.empty() ? tree : nullptr);
      if (!entry)
        return entry.status();
      entries_.push_back(*std::move(entry));
    }
    return folder_.files().syncFolder(folder_.path());
  }
  /// The catalog names the parts now: they stay.
  void commit() { isCommitted_ = true; }

  const std::vector<CatalogEntry> &entries() const { return entries_; }
  CheckpointStatistics statistics() const {
    CheckpointStatistics sum;
    for (const CheckpointWriter &writer : writers_) {
      sum.blocks += writer.statistics().blocks;
      sum.pagesWritten += writer.statistics().pagesWritten;
      sum.pagesReused += writer.statistics().pagesReused;
      sum.bytesWritten += writer.statistics().bytesWritten;
    }
    return sum;
  }

private:
  CheckpointFolder &folder_;
  const CheckpointOptions &options_;
  std::deque<CheckpointWriter> writers_; // They do not move.
  std::vector<CatalogEntry> entries_;
  bool isCommitted_ = false;
};

} // namespace

CheckpointManager::CheckpointManager(std::string folder, CheckpointOptions options,
                                     FileSystem &files)
    : folder_(std::move(folder)), options_(std::move(options)), files_(&files) {}

Status CheckpointManager::createCheckpoint(const PagedKVCache &cache, std::string_view name,
                                           const CheckpointTree *tree) {
  const PagedKVCache *caches[] = {&cache};
  return createCheckpoint(caches, name, tree);
}

Status CheckpointManager::createCheckpoint(const QuantizedPagedKVCache &cache,
                                           std::string_view name) {
  LLMIR_RETURN_IF_ERROR(cache.status());
  std::vector<const PagedKVCache *> caches;
  for (const PagedKVCache &part : cache.caches())
    caches.push_back(&part);
  return createCheckpoint(caches, name);
}

Status CheckpointManager::createCheckpoint(std::span<const PagedKVCache *const> caches,
                                           std::string_view name, const CheckpointTree *tree) {
  if (caches.empty())
    return invalidArgument("expected at least one cache to save");
  for (const PagedKVCache *cache : caches)
    LLMIR_RETURN_IF_ERROR(cache->status());
  LLMIR_RETURN_IF_ERROR(checkCheckpointName(name));
  return save(caches, name, tree).withContext("cannot save " + describe(name));
}

Status CheckpointManager::save(std::span<const PagedKVCache *const> caches, std::string_view name,
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
  if (number + caches.size() > endOfNumbers)
    return resourceExhausted("expected a number below " + std::to_string(endOfNumbers) +
                             " for the next checkpoint, but got " + std::to_string(number));

  CheckpointSave parts(folder, options_);
  parts.start(caches, number);
  for (const CatalogEntry &entry : catalog->entries)
    // A damaged checkpoint is found when it is loaded; here it only has no pages to offer.
    if (StatusOr<CheckpointManifest> manifest = folder.readManifest(entry))
      parts.reusePagesOf(*manifest);
  LLMIR_RETURN_IF_ERROR(parts.write(name, tree));

  bool isReplacement = !catalog->find(name).empty();
  std::erase_if(catalog->entries, [name](const CatalogEntry &old) { return old.name == name; });
  catalog->nextNumber = number + caches.size();
  catalog->entries.insert(catalog->entries.end(), parts.entries().begin(), parts.entries().end());
  bool isDone = false;
  Status status = folder.replaceCatalog(*catalog, isDone);
  if (isDone)
    parts.commit();
  if (!status.isOk())
    return isDone ? status.withContext("in place, but perhaps not durable") : status;
  lastSave_ = parts.statistics();
  // The checkpoint stands, whatever becomes of the old one's files.
  if (isReplacement)
    (void)folder.collect(*catalog);
  return Status::ok();
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
  auto first = catalog->entries.end();
  // Part 0 is the first of a checkpoint's parts.
  for (int64_t count = 0; first != catalog->entries.begin() && count < keep;)
    count += (--first)->part == 0;
  std::vector<CatalogEntry> kept(first, catalog->entries.end());
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
  if (catalog->find(name).empty())
    return unknownCheckpoint(name, folder_);
  std::vector<CatalogEntry> kept = catalog->entries;
  std::erase_if(kept, [name](const CatalogEntry &entry) { return entry.name == name; });
  return keepOnly(*std::move(catalog), std::move(kept)).withContext("removing " + describe(name));
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
