// A queue of copied pages and the thread that writes them.

#include "llmir/Cache/WriteBehindStore.h"

#include <algorithm>
#include <string>

namespace llmir {

WriteBehindStore::WriteBehindStore(std::unique_ptr<BlockStore> store, size_t numCopies)
    : store_(std::move(store)), spare_(std::max<size_t>(numCopies, 1)),
      thread_([this] { writeCopies(); }) {}

WriteBehindStore::~WriteBehindStore() {
  {
    std::lock_guard lock(mutex_);
    isClosing_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void WriteBehindStore::writeCopies() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [this] { return isClosing_ || !pending_.empty(); });
    if (isClosing_)
      return;
    // Stays at its place and unchanged until it is written, so that it can be read meanwhile.
    const Copy &copy = pending_.front();
    lock.unlock();
    Status written = store_->write(copy.page, copy.key, copy.bytes);
    lock.lock();
    if (written)
      failures_.erase(copy.page);
    else
      failures_.insert_or_assign(copy.page, written);
    spare_.push_back(std::move(pending_.front().bytes));
    pending_.pop_front();
    changed_.notify_all();
  }
}

Status WriteBehindStore::write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) {
  if (page < 0 || page >= numPages() || bytes.size() != pageSize())
    return invalidArgument("expected page 0 to " + std::to_string(numPages() - 1) + " of " +
                           std::to_string(pageSize()) + " bytes, but got page " +
                           std::to_string(page) + " of " + std::to_string(bytes.size()));
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return !spare_.empty(); });
  std::vector<uint8_t> copy = std::move(spare_.back());
  spare_.pop_back();
  lock.unlock();
  copy.assign(bytes.begin(), bytes.end());
  lock.lock();
  pending_.push_back({page, key, std::move(copy)});
  lock.unlock();
  changed_.notify_all();
  return Status::ok();
}

Status WriteBehindStore::read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) {
  {
    std::unique_lock lock(mutex_);
    // The newest copy of a page is the one that counts.
    auto copy = std::find_if(pending_.rbegin(), pending_.rend(),
                             [page](const Copy &pending) { return pending.page == page; });
    if (copy != pending_.rend()) {
      if (copy->key != key || copy->bytes.size() != bytes.size())
        return dataLoss("page " + std::to_string(page) + " is another block's than " +
                        toString(key));
      std::copy(copy->bytes.begin(), copy->bytes.end(), bytes.begin());
      return Status::ok();
    }
    if (auto failure = failures_.find(page); failure != failures_.end())
      return failure->second;
  }
  return store_->read(page, key, bytes);
}

Status WriteBehindStore::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pending_.empty(); });
  return failures_.empty() ? Status::ok() : failures_.begin()->second;
}

} // namespace llmir
