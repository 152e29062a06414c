// FileSystem: the few file operations that crash-safe formats are made of, as an interface, so that
// tests can stop, tear, reorder and fill up underneath them. It is no general file API: files are
// written once from start to end and read through mappings.

#ifndef LLMIR_BASE_FILESYSTEM_H
#define LLMIR_BASE_FILESYSTEM_H

#include "llmir/Base/Status.h"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace llmir {

/// A file's content, readable as long as the object lives, even when the file is removed meanwhile.
class FileView {
public:
  virtual ~FileView() = default;
  virtual std::span<const uint8_t> bytes() const = 0;
};

/// A new file that is being written. The destructor closes it and keeps what was written.
class FileWriter {
public:
  virtual ~FileWriter() = default;
  /// Appends all of `bytes`; after a failure, an unknown part of them. ResourceExhausted when the
  /// disk is full.
  virtual Status append(std::span<const uint8_t> bytes) = 0;
  /// Returns when all that was appended survives a power failure. The name does not, until its
  /// folder is flushed.
  virtual Status sync() = 0;
};

/// Held until destroyed, or until the process ends.
class FileLock {
public:
  virtual ~FileLock() = default;
};

enum class LockMode { Shared, Exclusive };

enum class LockWait {
  Block, ///< Until the lock is free.
  Try    ///< FailedPrecondition when it is not free.
};

/// File operations on paths. Errors have the path and the system's reason; NotFound,
/// ResourceExhausted (disk full) and FailedPrecondition (exists, locked) mean what they say, other
/// failures are Internal. Implementations may be used by several threads.
class FileSystem {
public:
  virtual ~FileSystem() = default;

  /// Makes a folder and those above it, durably; ok when it is there already.
  virtual Status createFolder(const std::string &folder) = 0;
  /// Names of the files in a folder, sorted, without `.` and `..`.
  virtual StatusOr<std::vector<std::string>> list(const std::string &folder) = 0;
  /// A new file; FailedPrecondition when the path exists.
  virtual StatusOr<std::unique_ptr<FileWriter>> create(const std::string &path) = 0;
  /// The content of a regular file.
  virtual StatusOr<std::unique_ptr<FileView>> map(const std::string &path) = 0;
  /// Renames a file onto another or a new name, in one step.
  virtual Status rename(const std::string &from, const std::string &to) = 0;
  virtual Status remove(const std::string &path) = 0;
  /// Returns when the names in a folder are as durable as the files.
  virtual Status syncFolder(const std::string &folder) = 0;
  /// Gives back the disk space of `size` bytes at `offset`, which read as zeros then. Where that is
  /// not supported, does nothing.
  virtual Status punchHole(const std::string &path, uint64_t offset, uint64_t size) = 0;
  /// Locks an existing file against other holders of its lock, in this process too.
  virtual StatusOr<std::unique_ptr<FileLock>> lock(const std::string &path, LockMode mode,
                                                   LockWait wait) = 0;
};

/// The operating system's files. One object for all; never destroyed.
FileSystem &systemFiles();

} // namespace llmir

#endif // LLMIR_BASE_FILESYSTEM_H
