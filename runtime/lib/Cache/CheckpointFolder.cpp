// CheckpointFolder: every change becomes visible by renaming a new catalog onto the old one, when
// all that it names is durable. Whatever a crash leaves beside that is unnamed, and the next change
// removes it.

#include "CheckpointFolder.h"

#include <algorithm>
#include <cstdio>
#include <string_view>

namespace llmir {

namespace {

constexpr std::string_view manifestSuffix = ".manifest", packSuffix = ".pages";

std::string numbered(uint64_t number, std::string_view suffix) {
  char digits[24];
  std::snprintf(digits, sizeof digits, "%012llu", static_cast<unsigned long long>(number));
  return digits + std::string(suffix);
}

/// The number in a name that numbered() made: nobody else's file is removed.
std::optional<uint64_t> numberOf(std::string_view name, std::string_view suffix) {
  constexpr size_t numDigits = 12;
  if (name.size() != numDigits + suffix.size() || !name.ends_with(suffix))
    return std::nullopt;
  uint64_t number = 0;
  for (char c : name.substr(0, numDigits)) {
    if (c < '0' || c > '9')
      return std::nullopt;
    number = number * 10 + static_cast<uint64_t>(c - '0');
  }
  return number;
}

} // namespace

Status asLoss(const Status &status) {
  return status.code() == StatusCode::NotFound ? dataLoss(status.message()) : status;
}

std::string CheckpointFolder::manifestPath(uint64_t number) const {
  return path(numbered(number, manifestSuffix));
}

std::string CheckpointFolder::packPath(uint64_t number) const {
  return path(numbered(number, packSuffix));
}

StatusOr<std::unique_ptr<FileLock>> CheckpointFolder::lockToChange() {
  LLMIR_RETURN_IF_ERROR(files_->createFolder(folder_));
  StatusOr<std::unique_ptr<FileWriter>> created = files_->create(path("lock"));
  if (!created && created.status().code() != StatusCode::FailedPrecondition)
    return created.status();
  return files_->lock(path("lock"), LockMode::Exclusive, LockWait::Block);
}

StatusOr<std::unique_ptr<FileLock>> CheckpointFolder::lockToRead() {
  auto lock = files_->lock(path("lock"), LockMode::Shared, LockWait::Block);
  if (!lock && lock.status().code() == StatusCode::NotFound)
    return std::unique_ptr<FileLock>();
  return lock;
}

StatusOr<CheckpointCatalog> CheckpointFolder::readCatalog() const {
  auto view = files_->map(path("catalog"));
  if (!view && view.status().code() == StatusCode::NotFound)
    return CheckpointCatalog();
  if (!view)
    return view.status();
  StatusOr<CheckpointCatalog> catalog = parseCatalog((*view)->bytes());
  if (!catalog)
    return catalog.status().withContext(path("catalog"));
  return catalog;
}

Status CheckpointFolder::writeNew(const std::string &path, std::span<const uint8_t> bytes) {
  auto file = files_->create(path);
  if (!file)
    return file.status();
  Status status = (*file)->append(bytes);
  if (status.isOk())
    status = (*file)->sync();
  if (!status.isOk())
    // Left over if this fails too; the next change removes it.
    (void)files_->remove(path);
  return status;
}

Status CheckpointFolder::replaceCatalog(const CheckpointCatalog &catalog, bool &isDone) {
  isDone = false;
  std::string partial = path("catalog.partial");
  if (Status status = files_->remove(partial);
      !status.isOk() && status.code() != StatusCode::NotFound)
    return status;
  LLMIR_RETURN_IF_ERROR(writeNew(partial, serializeCatalog(catalog)));
  LLMIR_RETURN_IF_ERROR(files_->rename(partial, path("catalog")));
  isDone = true;
  return files_->syncFolder(folder_);
}

StatusOr<CheckpointManifest> CheckpointFolder::readManifest(const CatalogEntry &entry) const {
  std::string file = manifestPath(entry.number);
  auto view = files_->map(file);
  if (!view)
    return asLoss(view.status());
  if (PageHash hash = hashPage((*view)->bytes()); hash != entry.manifest)
    return dataLoss(file + ": checksum mismatch: expected the manifest of '" + entry.name +
                    "' with hash " + toString(entry.manifest) + ", but its " +
                    std::to_string((*view)->bytes().size()) + " bytes hash to " + toString(hash));
  StatusOr<CheckpointManifest> manifest = parseManifest((*view)->bytes());
  if (!manifest)
    return manifest.status().withContext(file);
  return manifest;
}

StatusOr<CheckpointCatalog> CheckpointFolder::recoverCatalog() const {
  StatusOr<std::vector<std::string>> names = files_->list(folder_);
  StatusOr<uint64_t> largest = largestNumber();
  if (!names || !largest)
    return names ? largest.status() : names.status();
  CheckpointCatalog catalog;
  catalog.nextNumber = *largest + 1;
  std::vector<CatalogEntry> parts;         // Of the checkpoint at hand.
  for (const std::string &file : *names) { // Sorted, and so by number.
    std::optional<uint64_t> number = numberOf(file, manifestSuffix);
    auto view = number ? files_->map(path(file)) : notFound("not a manifest");
    if (!view)
      continue;
    StatusOr<CheckpointManifest> manifest = parseManifest((*view)->bytes());
    if (!manifest || manifest->number != *number)
      continue;
    if (manifest->part != parts.size() || (!parts.empty() && parts[0].name != manifest->name))
      parts.clear();
    if (manifest->part != parts.size())
      continue;
    parts.push_back({*number, manifest->part, hashPage((*view)->bytes()), manifest->name});
    if (parts.size() < manifest->numParts)
      continue;
    std::erase_if(catalog.entries,
                  [&](const CatalogEntry &entry) { return entry.name == manifest->name; });
    catalog.entries.insert(catalog.entries.end(), parts.begin(), parts.end());
    parts.clear();
  }
  return catalog;
}

StatusOr<uint64_t> CheckpointFolder::largestNumber() const {
  StatusOr<std::vector<std::string>> names = files_->list(folder_);
  if (!names)
    return names.status();
  uint64_t largest = 0;
  for (const std::string &name : *names)
    for (std::string_view suffix : {manifestSuffix, packSuffix})
      largest = std::max(largest, numberOf(name, suffix).value_or(0));
  return largest;
}

StatusOr<std::map<uint64_t, CheckpointFolder::PackUse>>
CheckpointFolder::findLivePages(const CheckpointCatalog &catalog) const {
  std::map<uint64_t, PackUse> packs;
  for (const CatalogEntry &entry : catalog.entries) {
    StatusOr<CheckpointManifest> manifest = readManifest(entry);
    if (!manifest)
      return manifest.status().withContext("no pages were given back");
    for (const CheckpointPage &page : manifest->pages) {
      const CheckpointPack &pack = manifest->packs[page.pack];
      PackUse &use = packs[pack.number];
      use.bytes = std::max(use.bytes, pack.bytes);
      uint64_t &end = use.ranges[page.offset];
      end = std::max(end, page.offset + page.storedBytes);
    }
  }
  return packs;
}

Status CheckpointFolder::removeUnused(const CheckpointCatalog &catalog,
                                      const std::map<uint64_t, PackUse> &packs) {
  StatusOr<std::vector<std::string>> names = files_->list(folder_);
  if (!names)
    return names.status();
  for (const std::string &name : *names) {
    std::optional<uint64_t> manifest = numberOf(name, manifestSuffix);
    std::optional<uint64_t> pack = numberOf(name, packSuffix);
    bool isUnusedManifest = manifest && std::none_of(catalog.entries.begin(), catalog.entries.end(),
                                                     [&](const CatalogEntry &entry) {
                                                       return entry.number == *manifest;
                                                     });
    if (isUnusedManifest || (pack && packs.count(*pack) == 0) || name == "catalog.partial")
      LLMIR_RETURN_IF_ERROR(files_->remove(path(name)));
  }
  return Status::ok();
}

Status CheckpointFolder::punchDeadPages(uint64_t number, const PackUse &use) {
  constexpr uint64_t unit = packHeaderBytes; // What file systems give back.
  std::vector<std::pair<uint64_t, uint64_t>> holes;
  auto addHole = [&](uint64_t from, uint64_t to) {
    from = (from + unit - 1) / unit * unit;
    to = to / unit * unit;
    if (from < to)
      holes.emplace_back(from, to - from);
  };
  uint64_t covered = packHeaderBytes;
  for (auto [offset, end] : use.ranges) {
    addHole(covered, offset);
    covered = std::max(covered, end);
  }
  addHole(covered, use.bytes);
  if (holes.empty())
    return Status::ok();
  auto lock = files_->lock(packPath(number), LockMode::Exclusive, LockWait::Try);
  if (!lock) // Mapped by a reader, or damaged from outside: nothing to be done here.
    return Status::ok();
  for (auto [offset, size] : holes)
    LLMIR_RETURN_IF_ERROR(files_->punchHole(packPath(number), offset, size));
  return Status::ok();
}

Status CheckpointFolder::collect(const CheckpointCatalog &catalog) {
  // The catalog may have been renamed by somebody who died before it was durable.
  LLMIR_RETURN_IF_ERROR(files_->syncFolder(folder_));
  StatusOr<std::map<uint64_t, PackUse>> packs = findLivePages(catalog);
  if (!packs)
    return packs.status();
  LLMIR_RETURN_IF_ERROR(removeUnused(catalog, *packs));
  for (const auto &[number, use] : *packs)
    LLMIR_RETURN_IF_ERROR(punchDeadPages(number, use));
  return Status::ok();
}

} // namespace llmir
