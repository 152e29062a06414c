// BlockFile: pages in a file by pwrite and pread, with checksums.

#include "llmir/Cache/BlockStore.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>

namespace llmir {

namespace {

/// The error of a system call on the file.
Status systemError(const std::string &action, const std::string &path) {
  int error = errno;
  std::string message = "cannot " + action + " '" + path + "': " + std::strerror(error);
  bool isFull = error == ENOSPC || error == EDQUOT || error == EFBIG;
  return isFull ? resourceExhausted(message) : internalError(message);
}

XXH128_hash_t digestOf(const PrefixKey &key, std::span<const uint8_t> bytes) {
  return XXH3_128bits_withSeed(bytes.data(), bytes.size(), key.words[0] ^ key.words[3]);
}

} // namespace

StatusOr<std::unique_ptr<BlockFile>> BlockFile::create(const std::string &path, size_t pageSize,
                                                       int64_t numPages) {
  // A page's number is 32 bits in the tree, and the file's size 63.
  if (pageSize == 0 || numPages < 1 || numPages > INT32_MAX ||
      pageSize > static_cast<size_t>(INT64_MAX / numPages))
    return invalidArgument("expected a store of 1 to " + std::to_string(INT32_MAX) +
                           " pages of at least 1 byte, but got " + std::to_string(numPages) +
                           " pages of " + std::to_string(pageSize) + " bytes");
  int file = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (file < 0)
    return systemError("create", path);
  // Without a path until it is sure that the file is ours to empty and to remove.
  std::unique_ptr<BlockFile> store(new BlockFile("", file, pageSize, numPages));
  struct stat properties;
  if (fstat(file, &properties) != 0)
    return systemError("examine", path);
  if (!S_ISREG(properties.st_mode))
    return invalidArgument("expected '" + path + "' to be a file, but it is of another kind");
  if (flock(file, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK)
      return failedPrecondition("another process uses '" + path + "' as its store of blocks");
    return systemError("lock", path);
  }
  store->path_ = path;
  if (ftruncate(file, 0) != 0)
    return systemError("empty", path);
  return store;
}

BlockFile::~BlockFile() {
  if (!path_.empty())
    unlink(path_.c_str());
  close(file_);
}

Status BlockFile::check(int64_t page, size_t size) const {
  if (page < 0 || page >= numPages())
    return invalidArgument("expected a page of 0 to " + std::to_string(numPages() - 1) +
                           ", but got " + std::to_string(page));
  if (size != pageSize_)
    return invalidArgument("expected a page of " + std::to_string(pageSize_) + " bytes, but got " +
                           std::to_string(size));
  return Status::ok();
}

Status BlockFile::write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) {
  LLMIR_RETURN_IF_ERROR(check(page, bytes.size()));
  Digest &digest = digests_[static_cast<size_t>(page)];
  digest.isWritten = false;
  XXH128_hash_t hash = digestOf(key, bytes);
  auto offset = static_cast<off_t>(page) * static_cast<off_t>(pageSize_);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count =
        pwrite(file_, bytes.data() + done, bytes.size() - done, offset + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError("write page " + std::to_string(page) + " of", path_);
    done += static_cast<size_t>(count);
  }
  digest = {hash.low64, hash.high64, true};
  return Status::ok();
}

Status BlockFile::read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) {
  LLMIR_RETURN_IF_ERROR(check(page, bytes.size()));
  const Digest &digest = digests_[static_cast<size_t>(page)];
  if (!digest.isWritten)
    return dataLoss("page " + std::to_string(page) + " of '" + path_ + "' was never written whole");
  auto offset = static_cast<off_t>(page) * static_cast<off_t>(pageSize_);
  for (size_t done = 0; done < bytes.size();) {
    ssize_t count =
        pread(file_, bytes.data() + done, bytes.size() - done, offset + static_cast<off_t>(done));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return systemError("read page " + std::to_string(page) + " of", path_);
    if (count == 0)
      return dataLoss("'" + path_ + "' ends within page " + std::to_string(page));
    done += static_cast<size_t>(count);
  }
  XXH128_hash_t hash = digestOf(key, bytes);
  if (hash.low64 != digest.low || hash.high64 != digest.high)
    return dataLoss("page " + std::to_string(page) + " of '" + path_ +
                    "' fails its checksum: it is not what was written for block " + toString(key));
  return Status::ok();
}

} // namespace llmir
