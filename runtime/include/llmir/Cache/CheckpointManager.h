// CheckpointManager: saves a paged KV cache, its sequences and a prefix tree into a folder, and
// brings them back: whole, or sequence by sequence from a mapping. Whatever happens in between, the
// folder holds the old set of checkpoints or the new one (docs/Checkpoints.md). It decides neither
// when to save nor what to keep.

#ifndef LLMIR_CACHE_CHECKPOINTMANAGER_H
#define LLMIR_CACHE_CHECKPOINTMANAGER_H

#include "llmir/Base/FileSystem.h"
#include "llmir/Base/Status.h"
#include "llmir/Cache/CheckpointFormat.h"
#include "llmir/Cache/CheckpointTree.h"
#include "llmir/Cache/MappedCheckpoint.h"
#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Cache/QuantizedPagedKVCache.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace llmir {

/// What a save does when an earlier checkpoint has a page of the same hash.
enum class PageReuse {
  Compare, ///< Reads that page and uses it if its bytes are the same: damage does not spread.
  Trust    ///< Uses it unread.
};

struct CheckpointOptions {
  /// Whose keys and values these are (an artifact's fingerprint). Saved; unless empty, a checkpoint
  /// of another model is refused.
  std::string model;
  /// zstd level of new pages; 0 stores them as they are. A page that does not shrink by a sixteenth
  /// is stored as it is.
  int compressionLevel = 0;
  PageReuse reuse = PageReuse::Compare;
};

/// What a save did.
struct CheckpointStatistics {
  int64_t blocks = 0;        ///< In use by sequences and the tree.
  int64_t pagesWritten = 0;  ///< New content.
  int64_t pagesReused = 0;   ///< Content that an earlier checkpoint has.
  uint64_t bytesWritten = 0; ///< Into the file of pages.
};

/// One checkpoint of a folder.
struct CheckpointInfo {
  std::string name;
  uint64_t number = 0;   ///< Rises from one to the next.
  uint32_t numParts = 1; ///< Caches.
};

/// A folder of checkpoints. One thread uses a manager at a time; several managers, in one process
/// or many, may use one folder: who changes it waits for the others. Errors name the file or page.
class CheckpointManager {
public:
  /// Touches no file: a missing folder is created by the first checkpoint. `files` must outlive it.
  explicit CheckpointManager(std::string folder, CheckpointOptions options = {},
                             FileSystem &files = systemFiles());

  /// Saves all sequences of `cache`, and `tree` if there is one, as `name`; an older checkpoint of
  /// that name is replaced. Only pages that no checkpoint here has are written. Returns when the
  /// checkpoint is durable. On failure (ResourceExhausted: disk full) the old set is in place,
  /// unless the last flush failed: then the new one is, and the message says so. The cache must not
  /// change meanwhile.
  Status createCheckpoint(const PagedKVCache &cache, std::string_view name,
                          const CheckpointTree *tree = nullptr);
  /// The same for the caches of one model, whose layers are stored in several: one checkpoint, all
  /// or nothing. The tree is the first one's.
  Status createCheckpoint(std::span<const PagedKVCache *const> caches, std::string_view name,
                          const CheckpointTree *tree = nullptr);
  Status createCheckpoint(const QuantizedPagedKVCache &cache, std::string_view name);

  /// Replaces all sequences of `cache` by those of a checkpoint and adds its records to `tree`, if
  /// there is one. Every page is checked before it is used. NotFound for an unknown name;
  /// FailedPrecondition, with the first field that differs, when it is of another model or cache
  /// type; DataLoss for damage, with the page; ResourceExhausted when the blocks do not fit. The
  /// cache is as before then (the one exception: pages that change on the disk between two reads
  /// when there are too few free blocks to hold both contents).
  Status loadCheckpoint(PagedKVCache &cache, std::string_view name, CheckpointTree *tree = nullptr);
  /// The same for several caches, in the order in which they were saved.
  Status loadCheckpoint(std::span<PagedKVCache *const> caches, std::string_view name,
                        CheckpointTree *tree = nullptr);
  Status loadCheckpoint(QuantizedPagedKVCache &cache, std::string_view name);

  /// Opens a checkpoint to attach sequences of it one at a time. Reads the manifest and maps the
  /// pages; no page is read. `cache` must outlive the result and stay where it is. Errors as for
  /// loadCheckpoint.
  StatusOr<MappedCheckpoint> mapCheckpoint(PagedKVCache &cache, std::string_view name);
  /// The same for several caches.
  StatusOr<std::vector<MappedCheckpoint>> mapCheckpoint(std::span<PagedKVCache *const> caches,
                                                        std::string_view name);

  /// Removes all but the newest `keep` checkpoints, in one step, and gives back the space of pages
  /// that none of them needs. InvalidArgument for a negative number.
  Status cleanupCheckpoints(int64_t keep);
  /// Removes one checkpoint likewise.
  Status removeCheckpoint(std::string_view name);

  /// The checkpoints, oldest first.
  StatusOr<std::vector<CheckpointInfo>> listCheckpoints();
  /// The manifest of a checkpoint's first cache, or of another.
  StatusOr<CheckpointManifest> readManifest(std::string_view name, uint32_t part = 0);
  /// Reads every page of a checkpoint; DataLoss names the first that is damaged.
  Status verifyCheckpoint(std::string_view name);
  /// Makes a new catalog of all intact checkpoints in the folder, for when the old one is damaged.
  /// Checkpoints that were removed a moment before the damage may appear again.
  Status repairCatalog();

  /// What the last successful createCheckpoint did.
  const CheckpointStatistics &lastSave() const { return lastSave_; }

private:
  Status save(std::span<const PagedKVCache *const> caches, std::string_view name,
              const CheckpointTree *tree);
  Status keepOnly(CheckpointCatalog catalog, std::vector<CatalogEntry> kept);
  StatusOr<std::vector<CatalogEntry>> findParts(std::string_view name);

  std::string folder_;
  CheckpointOptions options_;
  FileSystem *files_;
  CheckpointStatistics lastSave_;
};

} // namespace llmir

#endif // LLMIR_CACHE_CHECKPOINTMANAGER_H
