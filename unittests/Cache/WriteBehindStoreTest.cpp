// WriteBehindStore: pages are read back before, while and after they are written, alone and under a
// prefix tree.

#include "PrefixTreeFixture.h"

#include "llmir/Cache/WriteBehindStore.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <random>

using namespace llmir;

namespace {

constexpr size_t pageSize = 4096;

PrefixKey keyOf(uint64_t number) { return {{number, number, 1, 1}}; }
std::vector<uint8_t> pageOf(uint64_t number) {
  return std::vector<uint8_t>(pageSize, static_cast<uint8_t>(number));
}

/// Writes only when the gate is open; fails while `isFull`.
class GatedStore : public BlockStore {
public:
  int64_t numPages() const override { return 4; }
  size_t pageSize() const override { return ::pageSize; }
  Status write(int64_t page, const PrefixKey &, std::span<const uint8_t> bytes) override {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return isOpen; });
    if (isFull)
      return resourceExhausted("the disk is full");
    pages[size_t(page)].assign(bytes.begin(), bytes.end());
    ++numWritten;
    return Status::ok();
  }
  Status read(int64_t page, const PrefixKey &, std::span<uint8_t> bytes) override {
    std::lock_guard lock(mutex);
    std::copy(pages[size_t(page)].begin(), pages[size_t(page)].end(), bytes.begin());
    return Status::ok();
  }
  void open() {
    std::lock_guard lock(mutex);
    isOpen = true;
    changed.notify_all();
  }

  std::mutex mutex;
  std::condition_variable changed;
  bool isOpen = false;
  std::atomic<bool> isFull = false;
  std::atomic<int> numWritten = 0;
  std::vector<uint8_t> pages[4];
};

} // namespace

TEST(WriteBehindStoreTest, ReadsWhatIsNotWrittenYet) {
  auto owned = std::make_unique<GatedStore>();
  GatedStore &gated = *owned;
  WriteBehindStore store(std::move(owned), 3);
  std::vector<uint8_t> bytes = pageOf(1), found(pageSize);
  ASSERT_TRUE(store.write(0, keyOf(1), bytes).isOk());
  bytes = pageOf(99); // whoever wrote it goes on
  ASSERT_TRUE(store.write(1, keyOf(2), pageOf(2)).isOk());
  ASSERT_TRUE(store.write(0, keyOf(3), pageOf(3)).isOk());
  EXPECT_EQ(gated.numWritten, 0);
  ASSERT_TRUE(store.read(1, keyOf(2), found).isOk());
  EXPECT_EQ(found, pageOf(2));
  ASSERT_TRUE(store.read(0, keyOf(3), found).isOk());
  EXPECT_EQ(found, pageOf(3));
  EXPECT_EQ(store.read(0, keyOf(1), found).code(), StatusCode::DataLoss);
  gated.open();
  ASSERT_TRUE(store.flush().isOk());
  EXPECT_EQ(gated.numWritten, 3);
  ASSERT_TRUE(store.read(0, keyOf(3), found).isOk());
  EXPECT_EQ(found, pageOf(3));
}

TEST(WriteBehindStoreTest, SaysWhenAPageWasNotWritten) {
  auto owned = std::make_unique<GatedStore>();
  GatedStore &gated = *owned;
  gated.isFull = true;
  gated.open();
  WriteBehindStore store(std::move(owned), 2);
  std::vector<uint8_t> found(pageSize);
  ASSERT_TRUE(store.write(2, keyOf(1), pageOf(1)).isOk());
  EXPECT_EQ(store.flush().message(), "the disk is full");
  EXPECT_EQ(store.read(2, keyOf(1), found).message(), "the disk is full");
  gated.isFull = false;
  ASSERT_TRUE(store.write(2, keyOf(2), pageOf(2)).isOk());
  EXPECT_TRUE(store.flush().isOk());
  EXPECT_TRUE(store.read(2, keyOf(2), found).isOk());
  EXPECT_EQ(store.write(4, keyOf(2), pageOf(2)).code(), StatusCode::InvalidArgument);
  EXPECT_EQ(store.write(0, keyOf(2), {}).code(), StatusCode::InvalidArgument);
}

TEST(WriteBehindStoreTest, EndsWithPagesUnwritten) {
  auto owned = std::make_unique<GatedStore>();
  owned->open();
  WriteBehindStore store(std::move(owned), 4);
  for (int i = 0; i < 4; ++i)
    ASSERT_TRUE(store.write(i, keyOf(1), pageOf(1)).isOk());
}

TEST(WriteBehindStoreTest, ReturnsTheNewestPageInARandomRun) {
  std::string path = testing::TempDir() + "llmir-behind-" + std::to_string(getpid());
  StatusOr<std::unique_ptr<BlockFile>> file = BlockFile::create(path, pageSize, 6);
  ASSERT_TRUE(file.isOk());
  WriteBehindStore store(*std::move(file), 3);
  std::mt19937 random(5);
  std::vector<uint64_t> newest(6, 0);
  std::vector<uint8_t> found(pageSize);
  for (uint64_t i = 1; i < 5000; ++i) {
    uint32_t page = random() % 6;
    if (random() % 2 == 0) {
      ASSERT_TRUE(store.write(page, keyOf(i), pageOf(i)).isOk());
      newest[page] = i;
    } else if (newest[page] != 0) {
      Status status = store.read(page, keyOf(newest[page]), found);
      ASSERT_TRUE(status.isOk()) << status.message();
      ASSERT_EQ(found, pageOf(newest[page]));
    }
  }
}

namespace {

/// A disk that writes nothing until it is let.
class SlowStore : public MemoryStore {
public:
  using MemoryStore::MemoryStore;
  Status write(int64_t page, const PrefixKey &key, std::span<const uint8_t> bytes) override {
    std::unique_lock lock(mutex);
    changed.wait(lock, [this] { return mayWrite; });
    return MemoryStore::write(page, key, bytes);
  }
  void let() {
    std::lock_guard lock(mutex);
    mayWrite = true;
    changed.notify_all();
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool mayWrite = false;
};

class WriteBehindTreeTest : public PrefixTreeTest {};

} // namespace

// A page on its way to another tier is not overwritten before the copy is read.
TEST_F(WriteBehindTreeTest, TensorRTLLM8813_8830_PagesUnderWayKeepTheirContent) {
  PagedKVCache like(1, 1, 1, blockSize, 256, ElementType::F32, 1);
  auto slow = std::make_unique<SlowStore>(static_cast<size_t>(like.layout().block_stride), 16);
  SlowStore &disk = *slow;
  auto behind = std::make_unique<WriteBehindStore>(std::move(slow), 8);
  WriteBehindStore &queue = *behind;
  PrefixTreeOptions options;
  options.store = std::move(behind);
  make(8, std::move(options));
  serve(range(0, 16));
  EXPECT_EQ(tree->evict(4), 4);
  // The blocks are another's at once, while the disk has written nothing.
  ASSERT_TRUE(append(1, range(500, 32)).isOk());
  expectReads(1, range(500, 32));
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 17)), 16);
  disk.let();
  ASSERT_TRUE(queue.flush().isOk());
  tree->evict(8);
  ASSERT_TRUE(append(1, range(600, 32)).isOk());
  ASSERT_TRUE(cache->freeSequence(SequenceId{1}).isOk());
  EXPECT_EQ(serve(range(0, 17)), 16);
}
