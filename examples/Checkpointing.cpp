// Checkpoints of a KV cache: saved, lost, restored; only new pages are written; old checkpoints go,
// and a damaged one is refused with the name of the page.

#include "llmir/Cache/CheckpointManager.h"

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

using namespace llmir;

static void require(const Status &status) {
  if (status.isOk())
    return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

static void append(PagedKVCache &cache, int32_t sequence, int64_t tokens) {
  const llmir_cache_layout &layout = cache.layout();
  std::vector<float> data(
      static_cast<size_t>(tokens * layout.num_layers * layout.num_kv_heads * layout.key_head_dim));
  for (size_t i = 0; i < data.size(); ++i)
    data[i] = static_cast<float>(sequence * 1000 + static_cast<int32_t>(i % 997));
  require(cache.appendKV(data.data(), data.data(), 1, tokens, &sequence, nullptr));
}

int main() {
  PagedKVCache cache(12, 4, 64, 16, 512, ElementType::F32, 64);
  append(cache, 1, 100);
  require(cache.fork(SequenceId{1}, SequenceId{2}));
  append(cache, 2, 20);

  // clang-format off
// Create checkpoint manager
CheckpointManager manager("checkpoints");

// Save checkpoint
manager.createCheckpoint(cache, "checkpoint_001");

// Load checkpoint
manager.loadCheckpoint(cache, "checkpoint_001");

// Auto-cleanup old checkpoints (keep 5 most recent)
manager.cleanupCheckpoints(5);
  // clang-format on

  auto report = [&](const char *what) {
    const CheckpointStatistics &save = manager.lastSave();
    std::printf("%s: %d blocks, %d new pages, %d that were there, %d KiB written\n", what,
                int(save.blocks), int(save.pagesWritten), int(save.pagesReused),
                int(save.bytesWritten / 1024));
  };
  report("checkpoint_001");
  for (int i = 2; i <= 7; ++i) {
    append(cache, 1, 10);
    require(manager.createCheckpoint(cache, "checkpoint_00" + std::to_string(i)));
  }
  report("checkpoint_007");
  require(manager.cleanupCheckpoints(5));
  StatusOr<std::vector<CheckpointInfo>> kept = manager.listCheckpoints();
  require(kept.status());
  std::printf("kept:");
  for (const CheckpointInfo &info : *kept)
    std::printf(" %s", info.name.c_str());

  int64_t length = *cache.length(SequenceId{1});
  require(cache.freeSequence(SequenceId{1}));
  require(cache.freeSequence(SequenceId{2}));
  require(manager.loadCheckpoint(cache, "checkpoint_007"));
  bool isBack = *cache.length(SequenceId{1}) == length && *cache.length(SequenceId{2}) == 120 &&
                cache.blocks(SequenceId{1})->front() == cache.blocks(SequenceId{2})->front();
  std::printf("\nrestored sequence 1 of %d tokens and its fork %s\n", int(length),
              isBack ? "with the blocks they share" : "wrongly");

  std::fstream pages("checkpoints/000000000007.pages", std::ios::in | std::ios::out);
  pages.seekp(5000);
  pages.put('?');
  pages.close();
  Status status = manager.loadCheckpoint(cache, "checkpoint_007");
  std::printf("after damage: %s\n", status.message().c_str());
  return isBack && status.code() == StatusCode::DataLoss ? 0 : 1;
}
