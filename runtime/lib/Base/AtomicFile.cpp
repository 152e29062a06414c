// Implements AtomicFile: an unnamed file (O_TMPFILE) where the file system has them, else a named
// one beside the target; then fsync, rename, and fsync of the folder.

#include "llmir/Base/AtomicFile.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>
#include <vector>

namespace llmir {

static std::string folderOf(const std::string &path) {
  size_t slash = path.find_last_of('/');
  if (slash == std::string::npos)
    return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

/// A name in the target's folder that no other writer of this host uses.
static std::string partialPathOf(const std::string &path) {
  static std::atomic<unsigned> counter{0};
  size_t slash = path.find_last_of('/');
  size_t nameStart = slash == std::string::npos ? 0 : slash + 1;
  return path.substr(0, nameStart) + "." + path.substr(nameStart) + "." +
         std::to_string(::getpid()) + "-" + std::to_string(counter++) + ".partial";
}

StatusOr<AtomicFile> AtomicFile::create(const std::string &path, FileAccess access) {
  struct stat info = {};
  if (::stat(path.c_str(), &info) == 0 && !S_ISREG(info.st_mode))
    return invalidArgument(path + ": expected a regular file or a new name");
  mode_t mode = access == FileAccess::Executable ? 0777 : 0666;
  AtomicFile file(path, partialPathOf(path), -1);
  file.descriptor_ = ::open(folderOf(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
  if (file.descriptor_ < 0) {
    file.descriptor_ =
        ::open(file.partialPath_.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
    file.hasName_ = file.descriptor_ >= 0;
  }
  if (file.descriptor_ < 0)
    return file.fail("cannot create", errno);
  return file;
}

AtomicFile::AtomicFile(AtomicFile &&other) noexcept
    : path_(std::move(other.path_)), partialPath_(std::move(other.partialPath_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      hasName_(std::exchange(other.hasName_, false)), size_(other.size_) {}

AtomicFile &AtomicFile::operator=(AtomicFile &&other) noexcept {
  std::swap(path_, other.path_);
  std::swap(partialPath_, other.partialPath_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(hasName_, other.hasName_);
  std::swap(size_, other.size_);
  return *this;
}

Status AtomicFile::fail(std::string_view what, int error) {
  discard();
  std::string message = path_ + ": " + std::string(what) + ": " + std::strerror(error);
  if (error == ENOSPC || error == EDQUOT || error == EFBIG)
    return resourceExhausted(std::move(message));
  if (error == ENOENT)
    return notFound(std::move(message));
  return internalError(std::move(message));
}

Status AtomicFile::writeAt(uint64_t offset, std::span<const uint8_t> bytes) {
  if (descriptor_ < 0)
    return failedPrecondition(path_ + ": the file is already finished or discarded");
  while (!bytes.empty()) {
    ssize_t written = ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return fail("cannot write " + std::to_string(bytes.size()) + " bytes at offset " +
                      std::to_string(offset),
                  written < 0 ? errno : ENOSPC);
    offset += static_cast<uint64_t>(written);
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
  return Status::ok();
}

Status AtomicFile::write(std::span<const uint8_t> bytes) {
  LLMIR_RETURN_IF_ERROR(writeAt(size_, bytes));
  size_ += bytes.size();
  return Status::ok();
}

Status AtomicFile::write(std::string_view text) {
  return write(std::span(reinterpret_cast<const uint8_t *>(text.data()), text.size()));
}

Status AtomicFile::padTo(uint64_t alignment) {
  uint64_t missing = (alignment - size_ % alignment) % alignment;
  const std::vector<uint8_t> zeros(std::min<uint64_t>(missing, 1 << 16));
  while (missing > 0) {
    uint64_t count = std::min<uint64_t>(missing, zeros.size());
    LLMIR_RETURN_IF_ERROR(write(std::span(zeros).first(count)));
    missing -= count;
  }
  return Status::ok();
}

Status AtomicFile::overwrite(uint64_t offset, std::span<const uint8_t> bytes) {
  if (offset > size_ || bytes.size() > size_ - offset)
    return invalidArgument(path_ + ": expected to overwrite within " + std::to_string(size_) +
                           " bytes, but got " + std::to_string(bytes.size()) + " bytes at offset " +
                           std::to_string(offset));
  return writeAt(offset, bytes);
}

Status AtomicFile::commit() {
  if (descriptor_ < 0)
    return failedPrecondition(path_ + ": the file is already finished or discarded");
  if (::fsync(descriptor_) != 0)
    return fail("cannot flush " + std::to_string(size_) + " bytes", errno);
  if (!hasName_) {
    // An unnamed file gets its name through /proc; linking cannot replace, so rename follows.
    std::string self = "/proc/self/fd/" + std::to_string(descriptor_);
    if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, partialPath_.c_str(), AT_SYMLINK_FOLLOW) != 0)
      return fail("cannot name the new file", errno);
    hasName_ = true;
  }
  if (::rename(partialPath_.c_str(), path_.c_str()) != 0)
    return fail("cannot rename the new file", errno);
  hasName_ = false;
  discard();
  int folder = ::open(folderOf(path_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
  return Status::ok();
}

void AtomicFile::discard() {
  if (descriptor_ >= 0)
    ::close(descriptor_);
  descriptor_ = -1;
  if (hasName_)
    ::unlink(partialPath_.c_str());
  hasName_ = false;
}

} // namespace llmir
