// MappedFile: a file mapped into memory for reading. It checks nothing about the content; readers
// of formats bound every access by bytes().size().

#ifndef LLMIR_BASE_MAPPEDFILE_H
#define LLMIR_BASE_MAPPEDFILE_H

#include "llmir/Base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace llmir {

/// A read-only, private mapping of a whole regular file. Move-only; the bytes keep their address
/// when the object moves and are valid until it is destroyed. A file that another process truncates
/// meanwhile raises SIGBUS on access, as every mapping does. Thread-safe: it is immutable.
class MappedFile {
public:
  /// Maps `path`. NotFound, or Internal with the operating system's reason; a folder or a device is
  /// an InvalidArgument. An empty file gives empty bytes.
  static StatusOr<MappedFile> open(const std::string &path);

  MappedFile(MappedFile &&other) noexcept;
  MappedFile &operator=(MappedFile &&other) noexcept;
  MappedFile(const MappedFile &) = delete;
  MappedFile &operator=(const MappedFile &) = delete;
  ~MappedFile();

  /// The whole content, page aligned.
  std::span<const uint8_t> bytes() const { return {data_, size_}; }
  const std::string &path() const { return path_; }

private:
  MappedFile(std::string path, const uint8_t *data, size_t size)
      : path_(std::move(path)), data_(data), size_(size) {}

  std::string path_;
  const uint8_t *data_ = nullptr;
  size_t size_ = 0;
};

} // namespace llmir

#endif // LLMIR_BASE_MAPPEDFILE_H
