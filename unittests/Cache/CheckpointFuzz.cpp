// CheckpointFuzz: a folder in memory with one checkpoint, of which the input replaces a file.

#include "CheckpointFuzz.h"

#include "FaultyFileSystem.h"
#include "llmir/Cache/CheckpointManager.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace llmir {

namespace {

constexpr const char *manifestPath = "f/000000000001.manifest";

void require(bool holds, const char *what) {
  if (holds)
    return;
  std::fprintf(stderr, "broken promise: %s\n", what);
  std::abort();
}

void requireOk(const Status &status) { require(status.isOk(), status.message().c_str()); }

PagedKVCache makeCache() { return PagedKVCache(1, 1, 8, 2, 16, ElementType::F32, 24); }

/// Takes whatever records it is given.
class AnyTree : public CheckpointTree {
public:
  explicit AnyTree(PagedKVCache &cache) : cache_(cache) {}
  ~AnyTree() override { clear(); }
  std::vector<TreeRecord> exportRecords() const override { return records_; }
  Status importRecords(std::span<const TreeRecord> records) override {
    for (const TreeRecord &record : records) {
      LLMIR_RETURN_IF_ERROR(cache_.retainBlock(record.block));
      records_.push_back(record);
    }
    return Status::ok();
  }
  void addHeld(std::vector<BlockId> &held) const {
    for (const TreeRecord &record : records_)
      held.push_back(record.block);
  }
  void clear() {
    for (const TreeRecord &record : records_)
      (void)cache_.releaseBlock(record.block);
    records_.clear();
  }

private:
  PagedKVCache &cache_;
  std::vector<TreeRecord> records_;
};

Status append(PagedKVCache &cache, int32_t sequence, int64_t tokens, float start) {
  std::vector<float> data(static_cast<size_t>(tokens) * 8);
  for (float &value : data)
    value = start++;
  return cache.appendKV(data.data(), data.data(), 1, tokens, &sequence, nullptr);
}

/// A folder with the checkpoint "a": a fork, another sequence, a tree of two blocks.
FaultyFileSystem makeFolder(int compressionLevel) {
  FaultyFileSystem files;
  PagedKVCache cache = makeCache();
  requireOk(append(cache, 1, 5, 0));
  requireOk(cache.fork(SequenceId{1}, SequenceId{2}));
  requireOk(append(cache, 2, 1, 100));
  requireOk(append(cache, 3, 4, 200));
  AnyTree tree(cache);
  std::span<const BlockId> blocks = *cache.blocks(SequenceId{1});
  std::vector<TreeRecord> records = {{{1}, std::nullopt, {4, 5}, blocks[0], {7, 7}},
                                     {{2}, 0, {6, 7}, blocks[1], {}}};
  requireOk(tree.importRecords(records));
  CheckpointOptions options;
  options.model = "model";
  options.compressionLevel = compressionLevel;
  CheckpointManager manager("f", options, files);
  Status status = manager.createCheckpoint(cache, "a", &tree);
  // A build without zstd has no compressed seeds.
  require(status.isOk() || status.code() == StatusCode::Unimplemented, "the seed is saved");
  return files;
}

/// Makes the checksum of a manifest or catalog fit its body.
void reseal(std::vector<uint8_t> &bytes) {
  constexpr size_t sizeAt = 16, hashAt = 24, bodyAt = 40;
  if (bytes.size() < bodyAt)
    return;
  uint64_t size = bytes.size() - bodyAt;
  std::memcpy(bytes.data() + sizeAt, &size, sizeof size);
  PageHash hash = hashPage(std::span(bytes).subspan(bodyAt));
  std::copy(hash.bytes.begin(), hash.bytes.end(), bytes.begin() + hashAt);
}

/// Attaches every sequence and the tree, one at a time; the counts must fit all along.
void attachAll(CheckpointManager &manager) {
  PagedKVCache cache = makeCache();
  AnyTree tree(cache);
  auto mapped = manager.mapCheckpoint(cache, "a");
  if (!mapped)
    return;
  auto check = [&] {
    std::vector<BlockId> held = mapped->heldBlocks();
    tree.addHeld(held);
    requireOk(cache.checkInvariants(held));
  };
  for (const CheckpointSequence &sequence : mapped->manifest().sequences) {
    (void)mapped->attach(sequence.id);
    check();
  }
  (void)mapped->attachTree(tree);
  check();
  (void)mapped->verify();
}

/// Loads in one go and saves what came of it: that checkpoint must be good.
void loadAndSave(CheckpointManager &manager) {
  PagedKVCache cache = makeCache();
  AnyTree tree(cache);
  requireOk(append(cache, 9, 3, 900));
  (void)manager.loadCheckpoint(cache, "a", &tree);
  std::vector<BlockId> held;
  tree.addHeld(held);
  requireOk(cache.checkInvariants(held));
  if (!manager.createCheckpoint(cache, "b", &tree).isOk())
    // A damaged catalog stops everything, until it is made again.
    requireOk(manager.repairCatalog());
  requireOk(manager.createCheckpoint(cache, "b", &tree));
  (void)manager.cleanupCheckpoints(2);
  requireOk(manager.removeCheckpoint("b").code() == StatusCode::NotFound
                ? internalError("the new checkpoint is gone")
                : Status::ok());
  requireOk(manager.createCheckpoint(cache, "b", &tree));
  PagedKVCache again = makeCache();
  AnyTree restored(again);
  requireOk(manager.loadCheckpoint(again, "b", &restored));
  require(again.sequenceIds() == cache.sequenceIds(), "the same sequences come back");
  require(again.pool().numFree() == cache.pool().numFree(), "the same blocks are shared");
}

} // namespace

void fuzzCheckpoint(std::span<const uint8_t> input) {
  if (input.empty())
    return;
  static const FaultyFileSystem raw = makeFolder(0), compressed = makeFolder(3);
  std::vector<uint8_t> bytes(input.begin() + 1, input.end());
  if (input[0] & 1)
    reseal(bytes);
  FaultyFileSystem files = (input[0] & 2 ? compressed : raw).copy();
  if (identifyCheckpointFile(bytes) == CheckpointFileKind::Catalog) {
    files.setContent("f/catalog", bytes);
  } else {
    CheckpointCatalog catalog{2, {{1, 0, hashPage(bytes), "a"}}};
    files.setContent("f/catalog", serializeCatalog(catalog));
    files.setContent(manifestPath, bytes);
  }
  CheckpointManager manager("f", {}, files);
  attachAll(manager);
  loadAndSave(manager);
}

std::vector<std::vector<uint8_t>> checkpointFuzzSeeds() {
  std::vector<std::vector<uint8_t>> seeds;
  for (uint8_t flags = 0; flags < 4; ++flags) {
    FaultyFileSystem files = makeFolder(flags & 2 ? 3 : 0);
    for (const std::string &path : files.paths())
      if (path == manifestPath || path == "f/catalog") {
        std::vector<uint8_t> bytes = files.content(path);
        bytes.insert(bytes.begin(), flags);
        seeds.push_back(std::move(bytes));
      }
  }
  return seeds;
}

} // namespace llmir
