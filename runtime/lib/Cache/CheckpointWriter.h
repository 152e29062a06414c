// CheckpointWriter: makes one checkpoint of a cache: gathers its blocks, writes those whose content
// no earlier checkpoint has, and the manifest. The checkpoint exists once the catalog names it,
// which is the CheckpointManager's to do.

#ifndef LLMIR_LIB_CACHE_CHECKPOINTWRITER_H
#define LLMIR_LIB_CACHE_CHECKPOINTWRITER_H

#include "CheckpointPages.h"
#include "llmir/Cache/CheckpointManager.h"

#include <cstring>
#include <map>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

namespace llmir {

class CheckpointWriter {
public:
  /// Which cache of a checkpoint is written.
  struct Part {
    uint64_t number = 0; ///< New in the folder, which is locked to change.
    uint32_t part = 0;
    uint32_t numParts = 1;
  };
  CheckpointWriter(CheckpointFolder &folder, const CheckpointOptions &options,
                   const PagedKVCache &cache, Part part);

  /// Lets the pages of an earlier checkpoint be used again. Before write().
  void reusePagesOf(const CheckpointManifest &manifest);
  /// Writes pages and manifest, durable but for their names in the folder. On failure nothing is
  /// left (where the disk allows even that).
  StatusOr<CatalogEntry> write(std::string_view name, const CheckpointTree *tree);
  /// Removes the files that write() made.
  void discard();

  const CheckpointStatistics &statistics() const { return statistics_; }

private:
  struct PageHasher {
    size_t operator()(const PageHash &hash) const {
      size_t value;
      std::memcpy(&value, hash.bytes.data(), sizeof value);
      return value;
    }
  };
  /// A page of an earlier checkpoint.
  struct StoredPage {
    CheckpointPack pack;
    CheckpointPage page;
  };

  Status gatherSequences();
  Status gatherTree(const CheckpointTree &tree);
  StatusOr<uint32_t> addBlock(BlockId block, int64_t usedTokens);
  Status writePages();
  StatusOr<uint32_t> storePage(std::span<const uint8_t> content);
  StatusOr<bool> isStoredIntact(const StoredPage &stored, std::span<const uint8_t> content);
  Status appendPage(std::span<const uint8_t> content, CheckpointPage page);
  Status openPack();
  uint32_t packIndex(const CheckpointPack &pack);

  CheckpointFolder &folder_;
  const CheckpointOptions &options_;
  const PagedKVCache &cache_;
  CheckpointManifest manifest_;
  CheckpointStatistics statistics_;

  /// A block of the pool: its number in the manifest, and how many of its tokens are somebody's.
  struct SavedBlock {
    BlockId id;
    int64_t usedTokens = 0;
  };
  std::vector<SavedBlock> blocks_;
  std::unordered_map<int32_t, uint32_t> blockNumbers_;

  std::unordered_map<PageHash, StoredPage, PageHasher> storedPages_; ///< Of earlier checkpoints.
  std::unordered_map<PageHash, uint32_t, PageHasher> newPages_;      ///< Index into pages.
  std::map<uint64_t, MappedPack> mappedPacks_;
  std::unique_ptr<FileWriter> pack_; ///< The new pages; null until there is one.
  uint64_t packBytes_ = 0;
  bool hasManifest_ = false;
  std::vector<uint8_t> decoded_, encoded_;
};

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CHECKPOINTWRITER_H
