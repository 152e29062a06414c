// WriteBehindStore: lets a thread of its own write pages to another store, so that evicting a block
// costs a copy in memory and not a wait for the disk. What is not written yet is read from the
// copy.

#ifndef LLMIR_CACHE_WRITEBEHINDSTORE_H
#define LLMIR_CACHE_WRITEBEHINDSTORE_H

#include "llmir/Cache/BlockStore.h"

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

namespace llmir {

/// Called from one thread; the other one is inside.
class WriteBehindStore : public BlockStore {
public:
  /// Writes to `store`, which must allow reading one page while another thread writes another one
  /// (BlockFile does), with copies of at most `numCopies` pages, at least 1, under way.
  WriteBehindStore(std::unique_ptr<BlockStore> store, size_t numCopies);
  /// Gives up what is not written yet.
  ~WriteBehindStore() override;
  WriteBehindStore(const WriteBehindStore &) = delete;
  WriteBehindStore &operator=(const WriteBehindStore &) = delete;

  int64_t numPages() const override { return store_->numPages(); }
  size_t pageSize() const override { return store_->pageSize(); }
  /// Copies the page, which waits while all copies are under way. Why a page could not be written
  /// is said when it is read.
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override;
  Status read(int64_t page, const PrefixKey &key, std::span<uint8_t> bytes) override;

  /// Waits until everything is written. Ok, or why a page that nobody has written again failed.
  Status flush();

private:
  struct Copy {
    int64_t page;
    PrefixKey key;
    std::vector<uint8_t> bytes;
  };

  void writeCopies();

  std::unique_ptr<BlockStore> store_;
  std::mutex mutex_; ///< Of everything below but the thread.
  std::condition_variable changed_;
  std::deque<Copy> pending_; ///< In order; the first one is being written. Addresses stay.
  std::vector<std::vector<uint8_t>> spare_;
  std::unordered_map<int64_t, Status> failures_; ///< By page.
  bool isClosing_ = false;
  std::thread thread_;
};

} // namespace llmir

#endif // LLMIR_CACHE_WRITEBEHINDSTORE_H
