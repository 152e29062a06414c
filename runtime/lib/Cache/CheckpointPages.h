// CheckpointPages: the pages of checkpoints as bytes in mapped pack files. Reading checks every
// page against its hash. Writing is the CheckpointWriter's.

#ifndef LLMIR_LIB_CACHE_CHECKPOINTPAGES_H
#define LLMIR_LIB_CACHE_CHECKPOINTPAGES_H

#include "CheckpointFolder.h"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// A pack file, mapped and kept from being punched as long as this lives.
class MappedPack {
public:
  static StatusOr<MappedPack> open(CheckpointFolder &folder, const CheckpointPack &pack);

  std::span<const uint8_t> stored(const CheckpointPage &page) const {
    return view_->bytes().subspan(page.offset, page.storedBytes);
  }
  const std::string &path() const { return path_; }
  /// Bytes of the whole file.
  uint64_t bytes() const { return view_->bytes().size(); }

private:
  std::string path_;
  std::unique_ptr<FileLock> lock_;
  std::unique_ptr<FileView> view_;
};

/// The packs of one manifest, each mapped, no page read.
class CheckpointPages {
public:
  static StatusOr<CheckpointPages> open(CheckpointFolder &folder,
                                        const CheckpointManifest &manifest);

  /// Decodes a page into `target`, which has the size of a block, and checks it there. DataLoss
  /// names the page.
  Status read(const CheckpointPage &page, std::span<uint8_t> target) const;
  /// Checks a page that decodes to `blockBytes` bytes without keeping it.
  Status verify(const CheckpointPage &page, size_t blockBytes) const;

private:
  std::vector<MappedPack> packs_;
};

/// Decodes and checks a page of `pack`.
Status readPage(const MappedPack &pack, const CheckpointPage &page, std::span<uint8_t> target);

/// Appends `bytes` encoded at that zstd level to `encoded`. Unimplemented without zstd.
Status compressPage(std::span<const uint8_t> bytes, int level, std::vector<uint8_t> &encoded);

/// Copies what belongs to the first `tokens` tokens of a block, scales included, and nothing else:
/// what other sequences left behind them is nobody's business, and equal tokens make equal pages.
void copyTokens(const llmir_cache_layout &layout, std::span<const uint8_t> source, int64_t tokens,
                std::span<uint8_t> target);

} // namespace llmir

#endif // LLMIR_LIB_CACHE_CHECKPOINTPAGES_H
