// FaultyFileSystem: each file is its flushed content plus a list of writes; the folder is its
// flushed names plus a list of changes. A crash picks from both lists.

#include "FaultyFileSystem.h"

#include <algorithm>

namespace llmir {

namespace {

void apply(std::vector<uint8_t> &content, uint64_t offset, std::span<const uint8_t> bytes) {
  content.resize(std::max<size_t>(content.size(), offset + bytes.size()));
  std::copy(bytes.begin(), bytes.end(), content.begin() + static_cast<ptrdiff_t>(offset));
}

Status stopped() { return internalError("the machine has stopped"); }

class MemoryView final : public FileView {
public:
  explicit MemoryView(std::vector<uint8_t> bytes) : bytes_(std::move(bytes)) {}
  std::span<const uint8_t> bytes() const override { return bytes_; }

private:
  std::vector<uint8_t> bytes_;
};

class MemoryLock final : public FileLock {
public:
  MemoryLock(std::shared_ptr<int> holders, int after)
      : holders_(std::move(holders)), isExclusive_(after < 0) {
    *holders_ = after;
  }
  ~MemoryLock() override { *holders_ = isExclusive_ ? 0 : *holders_ - 1; }

private:
  std::shared_ptr<int> holders_;
  bool isExclusive_;
};

} // namespace

class FaultyWriter final : public FileWriter {
public:
  FaultyWriter(FaultyFileSystem &files, std::shared_ptr<FaultyFileSystem::File> file)
      : files_(files), file_(std::move(file)) {}
  Status append(std::span<const uint8_t> bytes) override { return files_.append(*file_, bytes); }
  Status sync() override {
    LLMIR_RETURN_IF_ERROR(files_.begin());
    file_->flushed = file_->content();
    file_->pending.clear();
    return Status::ok();
  }

private:
  FaultyFileSystem &files_;
  std::shared_ptr<FaultyFileSystem::File> file_;
};

std::vector<uint8_t> FaultyFileSystem::File::content() const {
  std::vector<uint8_t> result = flushed;
  for (const Write &write : pending)
    apply(result, write.offset, write.bytes);
  return result;
}

Status FaultyFileSystem::begin() {
  if (isStopped_)
    return stopped();
  int64_t number = operations_++;
  isStopped_ = stopAt_ && number >= *stopAt_;
  if (isStopped_)
    return stopped();
  return failAt_ == number ? internalError("injected failure") : Status::ok();
}

void FaultyFileSystem::change(NameChange change) {
  change(names_);
  pendingNames_.push_back(std::move(change));
}

Status FaultyFileSystem::append(File &file, std::span<const uint8_t> bytes) {
  bool wasStopped = isStopped_;
  appends_[operations_] = bytes.size();
  Status status = begin();
  size_t kept = bytes.size();
  if (!status.isOk())
    kept = wasStopped ? 0 : isStopped_ ? std::min(tornBytes_, bytes.size()) : bytes.size() / 2;
  uint64_t used = bytesUsed();
  if (kept > capacity_ - std::min(capacity_, used)) {
    kept = capacity_ - std::min(capacity_, used);
    if (status.isOk())
      status = resourceExhausted("the disk is full");
  }
  if (kept > 0)
    file.pending.push_back(
        {file.content().size(), {bytes.begin(), bytes.begin() + static_cast<ptrdiff_t>(kept)}});
  return status;
}

std::vector<uint8_t> FaultyFileSystem::survivor(const File &file, CrashModel model,
                                                std::mt19937 &random) {
  if (model == CrashModel::KeepAll || model == CrashModel::DataOnly)
    return file.content();
  std::vector<uint8_t> result = file.flushed;
  if (model == CrashModel::Random)
    for (const Write &write : file.pending)
      if (random() % 2 == 0) {
        size_t size = random() % 2 == 0 ? write.bytes.size() : random() % (write.bytes.size() + 1);
        // The length may be written out without the content.
        if (random() % 4 == 0)
          apply(result, write.offset, std::vector<uint8_t>(size));
        else
          apply(result, write.offset, std::span(write.bytes).first(size));
      }
  return result;
}

FaultyFileSystem FaultyFileSystem::restart(CrashModel model, uint32_t seed) const {
  std::mt19937 random(seed);
  Names names = flushedNames_;
  for (const NameChange &change : pendingNames_)
    if (model == CrashModel::KeepAll || model == CrashModel::NamesOnly ||
        (model == CrashModel::Random && random() % 2 == 0))
      change(names);
  FaultyFileSystem result;
  for (const auto &[name, file] : names)
    if (file)
      result.setContent(name, survivor(*file, model, random));
  return result;
}

void FaultyFileSystem::resume() {
  isStopped_ = false;
  stopAt_.reset();
  operations_ = 0;
  appends_.clear();
}

std::vector<std::string> FaultyFileSystem::paths() const {
  std::vector<std::string> result;
  for (const auto &entry : names_)
    result.push_back(entry.first);
  return result;
}

std::vector<uint8_t> FaultyFileSystem::content(const std::string &path) const {
  return names_.at(path)->content();
}

void FaultyFileSystem::setContent(const std::string &path, std::vector<uint8_t> bytes) {
  auto file = std::make_shared<File>();
  file->flushed = std::move(bytes);
  names_[path] = file;
  flushedNames_[path] = std::move(file);
}

uint64_t FaultyFileSystem::bytesUsed() const {
  uint64_t bytes = 0;
  for (const auto &entry : names_)
    bytes += entry.second->content().size();
  return bytes;
}

Status FaultyFileSystem::createFolder(const std::string &) {
  return isStopped_ ? stopped() : Status::ok();
}

StatusOr<std::vector<std::string>> FaultyFileSystem::list(const std::string &folder) {
  if (isStopped_)
    return stopped();
  std::vector<std::string> result;
  for (const auto &entry : names_)
    if (entry.first.starts_with(folder + "/"))
      result.push_back(entry.first.substr(folder.size() + 1));
  return result;
}

StatusOr<std::unique_ptr<FileWriter>> FaultyFileSystem::create(const std::string &path) {
  if (isStopped_)
    return stopped();
  if (names_.count(path) != 0)
    return failedPrecondition(path + ": exists");
  LLMIR_RETURN_IF_ERROR(begin());
  auto file = std::make_shared<File>();
  change([path, file](Names &names) { names[path] = file; });
  return std::unique_ptr<FileWriter>(new FaultyWriter(*this, file));
}

StatusOr<std::unique_ptr<FileView>> FaultyFileSystem::map(const std::string &path) {
  if (isStopped_)
    return stopped();
  auto found = names_.find(path);
  if (found == names_.end())
    return notFound(path + ": no such file");
  return std::unique_ptr<FileView>(new MemoryView(found->second->content()));
}

Status FaultyFileSystem::rename(const std::string &from, const std::string &to) {
  LLMIR_RETURN_IF_ERROR(begin());
  auto found = names_.find(from);
  if (found == names_.end())
    return notFound(from + ": no such file");
  // By the file, not by the old name: its creation may be lost when the rename is not.
  change([from, to, file = found->second](Names &names) {
    names.erase(from);
    names[to] = file;
  });
  return Status::ok();
}

Status FaultyFileSystem::remove(const std::string &path) {
  if (!isStopped_ && names_.count(path) == 0)
    return notFound(path + ": no such file");
  LLMIR_RETURN_IF_ERROR(begin());
  change([path](Names &names) { names.erase(path); });
  return Status::ok();
}

Status FaultyFileSystem::syncFolder(const std::string &) {
  LLMIR_RETURN_IF_ERROR(begin());
  flushedNames_ = names_;
  pendingNames_.clear();
  return Status::ok();
}

Status FaultyFileSystem::punchHole(const std::string &path, uint64_t offset, uint64_t size) {
  LLMIR_RETURN_IF_ERROR(begin());
  File &file = *names_.at(path);
  uint64_t end = std::min<uint64_t>(offset + size, file.content().size());
  if (offset < end)
    file.pending.push_back({offset, std::vector<uint8_t>(end - offset)});
  return Status::ok();
}

StatusOr<std::unique_ptr<FileLock>> FaultyFileSystem::lock(const std::string &path, LockMode mode,
                                                           LockWait) {
  if (isStopped_)
    return stopped();
  if (names_.count(path) == 0)
    return notFound(path + ": no such file");
  std::shared_ptr<int> &holders = locks_[path];
  if (!holders)
    holders = std::make_shared<int>(0);
  // One thread: whoever would wait would wait forever.
  if (*holders < 0 || (mode == LockMode::Exclusive && *holders > 0))
    return failedPrecondition(path + ": locked");
  return std::unique_ptr<FileLock>(
      new MemoryLock(holders, mode == LockMode::Exclusive ? -1 : *holders + 1));
}

} // namespace llmir
