// FaultyFileSystem: files in memory that can be stopped at any operation, run out of space, and
// lose, tear and reorder whatever was not flushed when the machine stops. For tests of formats that
// must survive that. One thread uses it.

#ifndef LLMIR_UNITTESTS_CACHE_FAULTYFILESYSTEM_H
#define LLMIR_UNITTESTS_CACHE_FAULTYFILESYSTEM_H

#include "llmir/Base/FileSystem.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace llmir {

/// What becomes of writes and names that were not flushed when the machine stops.
enum class CrashModel {
  KeepAll,   ///< The process was killed, the system goes on.
  LoseAll,   ///< The power failed at once.
  NamesOnly, ///< Names were written out, content was not.
  DataOnly,  ///< Content was written out, names were not.
  Random     ///< Any of them, in any order, the last write of a file perhaps in part.
};

/// A file system of one folder. Every call that changes something is an operation and is counted.
class FaultyFileSystem : public FileSystem {
public:
  /// An operation that ends it all: at number `operation` (from 0) an append keeps `tornBytes` of
  /// its bytes (other operations are not done), and every later call fails.
  void stopAt(int64_t operation, size_t tornBytes) {
    stopAt_ = operation;
    tornBytes_ = tornBytes;
  }
  /// One operation that fails and changes nothing (an append keeps half).
  void failAt(int64_t operation) { failAt_ = operation; }
  /// Bytes that the disk holds; an append beyond them keeps what fits.
  void setCapacity(uint64_t bytes) { capacity_ = bytes; }

  int64_t operations() const { return operations_; }
  bool isStopped() const { return isStopped_; }
  /// The size of each append, by number of operation.
  const std::map<int64_t, size_t> &appends() const { return appends_; }

  /// The disk as the next start finds it.
  FaultyFileSystem restart(CrashModel model, uint32_t seed = 0) const;
  /// The process that was stopped is gone; the next one goes on, with nothing more flushed.
  void resume();
  /// A copy in which all that was done is durable.
  FaultyFileSystem copy() const { return restart(CrashModel::KeepAll); }

  /// The files there are, and their content; for damage and comparison.
  std::vector<std::string> paths() const;
  std::vector<uint8_t> content(const std::string &path) const;
  void setContent(const std::string &path, std::vector<uint8_t> bytes);
  uint64_t bytesUsed() const;

  Status createFolder(const std::string &folder) override;
  StatusOr<std::vector<std::string>> list(const std::string &folder) override;
  StatusOr<std::unique_ptr<FileWriter>> create(const std::string &path) override;
  StatusOr<std::unique_ptr<FileView>> map(const std::string &path) override;
  Status rename(const std::string &from, const std::string &to) override;
  Status remove(const std::string &path) override;
  Status syncFolder(const std::string &folder) override;
  Status punchHole(const std::string &path, uint64_t offset, uint64_t size) override;
  StatusOr<std::unique_ptr<FileLock>> lock(const std::string &path, LockMode mode,
                                           LockWait wait) override;

private:
  friend class FaultyWriter;

  struct Write {
    uint64_t offset = 0;
    std::vector<uint8_t> bytes;
  };
  struct File {
    std::vector<uint8_t> flushed;
    std::vector<Write> pending;
    std::vector<uint8_t> content() const;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  /// Sets and unsets names in one step.
  using NameChange = std::function<void(Names &)>;

  /// Counts an operation; an error when it must not be done.
  Status begin();
  void change(NameChange change);
  Status append(File &file, std::span<const uint8_t> bytes);
  static std::vector<uint8_t> survivor(const File &file, CrashModel model, std::mt19937 &random);

  Names names_, flushedNames_;
  std::vector<NameChange> pendingNames_;
  std::map<std::string, std::shared_ptr<int>> locks_; ///< Holders; -1: exclusive.
  std::map<int64_t, size_t> appends_;
  int64_t operations_ = 0;
  std::optional<int64_t> stopAt_, failAt_;
  size_t tornBytes_ = 0;
  uint64_t capacity_ = std::numeric_limits<uint64_t>::max();
  bool isStopped_ = false;
};

} // namespace llmir

#endif // LLMIR_UNITTESTS_CACHE_FAULTYFILESYSTEM_H
