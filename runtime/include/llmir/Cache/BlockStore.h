// BlockStore: where blocks go that leave memory, and a store in a file. A store holds pages of one
// block each by number and gives back exactly what was written or an error; who may use a page is
// the prefix tree's business. Nothing in it survives the process: that is a checkpoint's work.

#ifndef LLMIR_CACHE_BLOCKSTORE_H
#define LLMIR_CACHE_BLOCKSTORE_H

#include "llmir/Base/Status.h"
#include "llmir/Cache/PrefixKey.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// A second tier of a prefix tree. For one thread.
class BlockStore {
public:
  virtual ~BlockStore() = default;

  /// Pages there are room for.
  virtual int64_t numPages() const = 0;
  /// Bytes of a page.
  virtual size_t pageSize() const = 0;
  /// Keeps a block as page `page`; has copied or refused the bytes when it returns. An error leaves
  /// the page unreadable.
  virtual Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) = 0;
  /// Gives back what was written as that page for that key. DataLoss when it is not there intact;
  /// `bytes` is undefined then.
  virtual Status read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) = 0;
};

/// A store in a file of its own, which is locked while the store lives and removed with it. Each
/// page has an XXH3-128 over its bytes and its key, kept in memory: a flipped bit, a torn write or
/// another block's page is an error, never data.
class BlockFile : public BlockStore {
public:
  /// Creates the file, or takes over one that nobody has locked. FailedPrecondition when another
  /// process uses it, InvalidArgument for sizes that are not positive, Internal with the system's
  /// reason otherwise.
  static StatusOr<std::unique_ptr<BlockFile>> create(const std::string &path, size_t pageSize,
                                                     int64_t numPages);
  ~BlockFile() override;
  BlockFile(const BlockFile &) = delete;
  BlockFile &operator=(const BlockFile &) = delete;

  int64_t numPages() const override { return static_cast<int64_t>(digests_.size()); }
  size_t pageSize() const override { return pageSize_; }
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override;
  Status read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) override;

private:
  struct Digest {
    uint64_t low = 0;
    uint64_t high = 0;
    bool isWritten = false;
  };

  BlockFile(std::string path, int file, size_t pageSize, int64_t numPages)
      : path_(std::move(path)), file_(file), pageSize_(pageSize),
        digests_(static_cast<size_t>(numPages)) {}
  Status check(int64_t page, size_t size) const;

  std::string path_;
  int file_;
  size_t pageSize_;
  std::vector<Digest> digests_;
};

} // namespace llmir

#endif // LLMIR_CACHE_BLOCKSTORE_H
