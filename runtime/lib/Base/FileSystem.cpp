// FileSystem over POSIX: write, fsync, rename, flock, and fallocate for holes.

#include "llmir/Base/FileSystem.h"

#include "llmir/Base/MappedFile.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <unistd.h>
#include <utility>

namespace llmir {

namespace {

Status failure(const std::string &path, const char *what, int error) {
  std::string message = path + ": " + what + ": " + std::strerror(error);
  switch (error) {
  case ENOENT:
    return notFound(std::move(message));
  case EEXIST:
  case EWOULDBLOCK:
    return failedPrecondition(std::move(message));
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return resourceExhausted(std::move(message));
  default:
    return internalError(std::move(message));
  }
}

/// Owns a descriptor.
class Descriptor {
public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(Descriptor &&other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor &operator=(Descriptor &&other) noexcept {
    std::swap(number_, other.number_);
    return *this;
  }
  Descriptor(const Descriptor &) = delete;
  Descriptor &operator=(const Descriptor &) = delete;
  ~Descriptor() {
    if (number_ >= 0)
      ::close(number_);
  }

  bool isOpen() const { return number_ >= 0; }
  int number() const { return number_; }

private:
  int number_;
};

class MappedView final : public FileView {
public:
  explicit MappedView(MappedFile file) : file_(std::move(file)) {}
  std::span<const uint8_t> bytes() const override { return file_.bytes(); }

private:
  MappedFile file_;
};

class SystemWriter final : public FileWriter {
public:
  SystemWriter(std::string path, Descriptor descriptor)
      : path_(std::move(path)), descriptor_(std::move(descriptor)) {}

  Status append(std::span<const uint8_t> bytes) override {
    while (!bytes.empty()) {
      ssize_t written = ::write(descriptor_.number(), bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR)
        continue;
      if (written <= 0)
        return failure(path_, "cannot write", written < 0 ? errno : ENOSPC)
            .withContext(std::to_string(bytes.size()) + " bytes");
      bytes = bytes.subspan(static_cast<size_t>(written));
    }
    return Status::ok();
  }

  Status sync() override {
    return ::fsync(descriptor_.number()) == 0 ? Status::ok()
                                              : failure(path_, "cannot flush", errno);
  }

private:
  std::string path_;
  Descriptor descriptor_;
};

class SystemLock final : public FileLock {
public:
  explicit SystemLock(Descriptor descriptor) : descriptor_(std::move(descriptor)) {}

private:
  Descriptor descriptor_; ///< Closing it releases the lock.
};

class SystemFiles final : public FileSystem {
public:
  Status createFolder(const std::string &folder) override {
    std::error_code error;
    std::filesystem::path path(folder);
    // The name of each new folder is durable once the one above it is flushed.
    std::vector<std::filesystem::path> missing;
    for (auto part = path; !part.empty() && !std::filesystem::exists(part, error);) {
      missing.push_back(part);
      auto above = part.parent_path();
      if (above == part)
        break;
      part = above;
    }
    std::filesystem::create_directories(path, error);
    if (error)
      return failure(folder, "cannot create the folder", error.value());
    for (const std::filesystem::path &part : missing) {
      std::string above = part.parent_path().string();
      LLMIR_RETURN_IF_ERROR(syncFolder(above.empty() ? "." : above));
    }
    return Status::ok();
  }

  StatusOr<std::vector<std::string>> list(const std::string &folder) override {
    std::error_code error;
    std::vector<std::string> names;
    std::filesystem::directory_iterator entry(folder, error), end;
    while (!error && entry != end) {
      names.push_back(entry->path().filename().string());
      entry.increment(error);
    }
    if (error)
      return failure(folder, "cannot list the folder", error.value());
    std::sort(names.begin(), names.end());
    return names;
  }

  StatusOr<std::unique_ptr<FileWriter>> create(const std::string &path) override {
    Descriptor file(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666));
    if (!file.isOpen())
      return failure(path, "cannot create", errno);
    return std::unique_ptr<FileWriter>(new SystemWriter(path, std::move(file)));
  }

  StatusOr<std::unique_ptr<FileView>> map(const std::string &path) override {
    StatusOr<MappedFile> file = MappedFile::open(path);
    if (!file)
      return file.status();
    return std::unique_ptr<FileView>(new MappedView(*std::move(file)));
  }

  Status rename(const std::string &from, const std::string &to) override {
    return ::rename(from.c_str(), to.c_str()) == 0
               ? Status::ok()
               : failure(from, ("cannot rename to " + to).c_str(), errno);
  }

  Status remove(const std::string &path) override {
    return ::unlink(path.c_str()) == 0 ? Status::ok() : failure(path, "cannot remove", errno);
  }

  Status syncFolder(const std::string &folder) override {
    Descriptor directory(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!directory.isOpen())
      return failure(folder, "cannot open the folder", errno);
    // File systems that cannot flush a folder say EINVAL; there is nothing more to do on them.
    if (::fsync(directory.number()) != 0 && errno != EINVAL)
      return failure(folder, "cannot flush the folder", errno);
    return Status::ok();
  }

  Status punchHole(const std::string &path, uint64_t offset, uint64_t size) override {
    Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!file.isOpen())
      return failure(path, "cannot open", errno);
    if (::fallocate(file.number(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
                    static_cast<off_t>(offset), static_cast<off_t>(size)) != 0 &&
        errno != EOPNOTSUPP && errno != ENOSYS)
      return failure(path, "cannot give back space", errno);
    return Status::ok();
  }

  StatusOr<std::unique_ptr<FileLock>> lock(const std::string &path, LockMode mode,
                                           LockWait wait) override {
    Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file.isOpen())
      return failure(path, "cannot open", errno);
    int operation =
        (mode == LockMode::Shared ? LOCK_SH : LOCK_EX) | (wait == LockWait::Try ? LOCK_NB : 0);
    while (::flock(file.number(), operation) != 0)
      if (errno != EINTR)
        return failure(path, "cannot lock", errno);
    return std::unique_ptr<FileLock>(new SystemLock(std::move(file)));
  }
};

} // namespace

FileSystem &systemFiles() {
  // Never destroyed, so that objects of static storage may use it to their end.
  static SystemFiles *files = new SystemFiles;
  return *files;
}

} // namespace llmir
