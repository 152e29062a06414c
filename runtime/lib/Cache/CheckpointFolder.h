// CheckpointFolder: the files of a folder of checkpoints. It reads and replaces the catalog, reads
// manifests, and gives back what no checkpoint needs. It knows nothing of caches.
//
//   catalog              names the checkpoints; replaced in one step, so the set of checkpoints is
//   catalog.partial      ... the next one, while it is written
//   lock                 empty; locked shared to open a checkpoint, exclusively to change anything
//   000000000012.manifest, 000000000012.pages    one checkpoint, and the pages that were new in it

#ifndef LLMIR_LIB_CACHE_CHECKPOINTFOLDER_H
#define LLMIR_LIB_CACHE_CHECKPOINTFOLDER_H

#include "llmir/Base/FileSystem.h"
#include "llmir/Cache/CheckpointFormat.h"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace llmir {

/// A file that must be there and is NotFound is a DataLoss; other errors stay as they are.
Status asLoss(const Status &status);

/// NotFound with the name and where it was looked for.
Status unknownCheckpoint(std::string_view name, const std::string &folder);

class CheckpointFolder {
public:
  CheckpointFolder(std::string folder, FileSystem &files)
      : folder_(std::move(folder)), files_(&files) {}

  const std::string &path() const { return folder_; }
  FileSystem &files() const { return *files_; }
  std::string manifestPath(uint64_t number) const;
  std::string packPath(uint64_t number) const;

  /// Creates the folder and its lock file if needed, and locks it exclusively.
  StatusOr<std::unique_ptr<FileLock>> lockToChange();
  /// Locks the folder shared. A folder without a lock file (nothing was ever saved there, or it is
  /// a copy) needs none: null.
  StatusOr<std::unique_ptr<FileLock>> lockToRead();

  /// The checkpoints there are; none in a folder without a catalog.
  StatusOr<CheckpointCatalog> readCatalog() const;
  /// A catalog of all intact manifests in the folder; of two of one name, the later.
  StatusOr<CheckpointCatalog> recoverCatalog() const;
  /// Replaces the catalog, durably. `isDone` tells whether it was replaced: an error after that
  /// (flushing the folder) leaves the new one in place, though a crash may bring back the old one.
  Status replaceCatalog(const CheckpointCatalog &catalog, bool &isDone);
  /// A manifest that the catalog names; DataLoss when it is not the one that was saved.
  StatusOr<CheckpointManifest> readManifest(const CatalogEntry &entry) const;

  /// Writes a new file of that content and flushes it; removes it again on failure.
  Status writeNew(const std::string &path, std::span<const uint8_t> bytes);

  /// Removes files and gives back pages that no checkpoint of `catalog` (the current one) needs.
  /// Needs the exclusive lock. Pages are left alone while a manifest cannot be read, because it is
  /// not known which are its own: DataLoss. Packs that somebody has mapped are kept whole.
  Status collect(const CheckpointCatalog &catalog);

  /// The largest number in the names of the folder's files, or 0.
  StatusOr<uint64_t> largestNumber() const;

private:
  /// Live bytes of a pack: offset to end.
  using LiveRanges = std::map<uint64_t, uint64_t>;
  struct PackUse {
    uint64_t bytes = 0;
    LiveRanges ranges;
  };
  std::string path(const std::string &name) const { return folder_ + "/" + name; }
  StatusOr<std::map<uint64_t, PackUse>> findLivePages(const CheckpointCatalog &catalog) const;
  Status removeUnused(const CheckpointCatalog &catalog, const std::map<uint64_t, PackUse> &packs);
  Status punchDeadPages(uint64_t number, const PackUse &use);

  std::string folder_;
  FileSystem *files_;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CHECKPOINTFOLDER_H
