// Implements MappedFile with open, fstat and mmap.

#include "llmir/Base/MappedFile.h"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utility>

namespace llmir {

StatusOr<MappedFile> MappedFile::open(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    std::string message = path + ": cannot open: " + std::strerror(errno);
    return errno == ENOENT ? notFound(std::move(message)) : internalError(std::move(message));
  }
  struct stat info = {};
  if (::fstat(descriptor, &info) != 0) {
    Status status = internalError(path + ": cannot stat: " + std::strerror(errno));
    ::close(descriptor);
    return status;
  }
  if (!S_ISREG(info.st_mode)) {
    ::close(descriptor);
    return invalidArgument(path + ": expected a regular file");
  }
  size_t size = static_cast<size_t>(info.st_size);
  if (size == 0) {
    ::close(descriptor);
    return MappedFile(path, nullptr, 0);
  }
  void *data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, descriptor, 0);
  int mapError = errno;
  ::close(descriptor);
  if (data == MAP_FAILED)
    return internalError(path + ": cannot map " + std::to_string(size) +
                         " bytes: " + std::strerror(mapError));
  return MappedFile(path, static_cast<const uint8_t *>(data), size);
}

MappedFile::MappedFile(MappedFile &&other) noexcept
    : path_(std::move(other.path_)), data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile &MappedFile::operator=(MappedFile &&other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_)
    ::munmap(const_cast<uint8_t *>(data_), size_);
}

} // namespace llmir
