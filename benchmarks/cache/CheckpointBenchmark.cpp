// What a checkpoint costs: a save to a memory file system against write() of the same bytes there,
// an incremental save, opening it by mapping, and restoring against memcpy. An argument names
// another folder.

#include "Measure.h"

#include "llmir/Cache/CheckpointManager.h"

#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <random>
#include <string>
#include <unistd.h>

using namespace llmir;
using namespace llmir::benchmark;

namespace {

constexpr int64_t numSequences = 8;

void require(const Status &status) {
  if (status.isOk())
    return;
  std::fprintf(stderr, "%s\n", status.message().c_str());
  std::exit(1);
}

/// The cache of a small model (30 layers of 3 heads of 64, f16), full of noise: 720 MB.
PagedKVCache makeFullCache(int64_t tokens) {
  PagedKVCache cache(30, 3, 64, 16, tokens, ElementType::F16, numSequences * tokens / 16);
  require(cache.status());
  CacheStepTables tables;
  for (int32_t i = 0; i < numSequences; ++i) {
    AppendRequest request{SequenceId{i}, tokens};
    require(cache.reserve({&request, 1}, tables));
  }
  std::mt19937_64 random(1);
  auto *words = reinterpret_cast<uint64_t *>(cache.base());
  for (size_t i = 0; i < cache.sizeInBytes() / sizeof *words; ++i)
    words[i] = random();
  return cache;
}

/// The same bytes, block by block, into one file.
void writeFile(const PagedKVCache &cache, const std::string &path) {
  int file = ::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY, 0666);
  auto block = static_cast<size_t>(cache.layout().block_stride);
  for (size_t at = 0; at < cache.sizeInBytes(); at += block)
    if (file < 0 || ::write(file, cache.base() + at, block) != static_cast<ssize_t>(block)) {
      std::perror(path.c_str());
      std::exit(1);
    }
  ::fsync(file);
  ::close(file);
}

void benchmarkSave(const PagedKVCache &cache, const std::string &folder) {
  std::vector<double> ratios, saves;
  double bytes = static_cast<double>(cache.sizeInBytes());
  for (int round = 0; round < 8; ++round) {
    // Files are removed between the timings: freeing pages is not what is measured.
    CheckpointManager manager(folder + "/checkpoints");
    double ours = secondsOf([&] { require(manager.createCheckpoint(cache, "all")); });
    std::filesystem::remove_all(folder + "/checkpoints");
    double peer = secondsOf([&] { writeFile(cache, folder + "/plain"); });
    std::filesystem::remove(folder + "/plain");
    if (round == 0) // Warms both up.
      continue;
    ratios.push_back(peer / ours);
    saves.push_back(bytes / ours / 1e9);
  }
  printFigure("save: all pages new", median(saves), "GB/s");
  printAtLeast("save: rate over write() of the same bytes", median(ratios), "of write()", 0.7);
}

void benchmarkIncrement(PagedKVCache &cache, const std::string &folder) {
  for (PageReuse reuse : {PageReuse::Compare, PageReuse::Trust}) {
    CheckpointOptions options;
    options.reuse = reuse;
    CheckpointManager manager(folder, options);
    double seconds = measure([&] { require(manager.createCheckpoint(cache, "again")); }, 5);
    printFigure(reuse == PageReuse::Compare ? "save again: pages compared"
                                            : "save again: pages hashed only",
                static_cast<double>(cache.sizeInBytes()) / seconds / 1e9, "GB/s");
  }
}

void benchmarkRestore(PagedKVCache &cache, CheckpointManager &manager) {
  double gigabytes = static_cast<double>(cache.sizeInBytes()) / 1e9;
  for (int32_t i = 0; i < numSequences; ++i)
    require(cache.freeSequence(SequenceId{i}));
  double open = measure([&] { require(manager.mapCheckpoint(cache, "all").status()); }, 15);
  printAtMost("mapped restore before first touch", open * 1e3 / gigabytes, "ms/GB", 10);
  std::vector<uint8_t> copy(static_cast<size_t>(cache.sizeInBytes()));
  Pair times = measurePair([&] { require(manager.loadCheckpoint(cache, "all")); },
                           [&] {
                             std::memcpy(copy.data(), cache.base(), copy.size());
                             keep(copy);
                           },
                           5);
  printFigure("load: all pages copied and checked", gigabytes / times.ours, "GB/s");
  printFigure("load: rate over memcpy", times.peer / times.ours, "of memcpy");
}

} // namespace

int main(int argc, char **argv) {
  std::string folder =
      std::string(argc > 1 ? argv[1] : "/dev/shm") + "/llmir-benchmark-" + std::to_string(getpid());
  std::filesystem::create_directories(folder);
  PagedKVCache cache = makeFullCache(4096);
  benchmarkSave(cache, folder);
  CheckpointManager manager(folder);
  require(manager.createCheckpoint(cache, "all"));
  benchmarkIncrement(cache, folder);
  benchmarkRestore(cache, manager);
  std::filesystem::remove_all(folder);
}
