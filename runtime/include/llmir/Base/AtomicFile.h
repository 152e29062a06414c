// AtomicFile: writes a file so that its path holds either the old content or all of the new one,
// and nothing is left behind when writing fails or is given up.

#ifndef LLMIR_BASE_ATOMICFILE_H
#define LLMIR_BASE_ATOMICFILE_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace llmir {

/// Who may run the file that an AtomicFile creates; the process's umask applies.
enum class FileAccess {
  Data,      ///< 0666: read and write.
  Executable ///< 0777: a program or a shared object.
};

/// A file being written beside its final path. commit() makes it durable and puts it in place in
/// one step; without it the destructor removes what was written. Where the file system allows, the
/// file has no name until then, so that even a killed process leaves nothing. Move-only, one
/// writer.
class AtomicFile {
public:
  /// Starts a new file for `path`, whose folder must exist.
  static StatusOr<AtomicFile> create(const std::string &path, FileAccess access = FileAccess::Data);

  AtomicFile(AtomicFile &&other) noexcept;
  AtomicFile &operator=(AtomicFile &&other) noexcept;
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;
  ~AtomicFile() { discard(); }

  /// Appends bytes. A full disk is a ResourceExhausted with the path and the byte counts. After a
  /// failure the file is discarded and every later call fails.
  Status write(std::span<const uint8_t> bytes);
  Status write(std::string_view text);
  /// Appends zero bytes until size() is a multiple of `alignment`, which is a power of two.
  Status padTo(uint64_t alignment);
  /// Overwrites bytes that are already there: offset + bytes.size() <= size().
  Status overwrite(uint64_t offset, std::span<const uint8_t> bytes);

  /// Bytes written so far.
  uint64_t size() const { return size_; }
  const std::string &path() const { return path_; }

  /// Flushes to the disk and renames onto path(). The object is finished afterwards.
  Status commit();
  /// Removes what was written; does nothing after commit().
  void discard();

private:
  AtomicFile(std::string path, std::string partialPath, int descriptor)
      : path_(std::move(path)), partialPath_(std::move(partialPath)), descriptor_(descriptor) {}

  Status writeAt(uint64_t offset, std::span<const uint8_t> bytes);
  Status fail(std::string_view what, int error);

  std::string path_;
  std::string partialPath_; // Where commit() links it, or where it already is when hasName_.
  int descriptor_ = -1;
  bool hasName_ = false;
  uint64_t size_ = 0;
};

} // namespace llmir

#endif // LLMIR_BASE_ATOMICFILE_H
