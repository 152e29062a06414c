// Recording costs as much as the pool has blocks, so it is done each time that another sixty-fourth
// of the pool is in use, and when all of it is.

#include "llmir/CommandLine/CacheDumpRecorder.h"

#include "llmir/Base/AtomicFile.h"

#include <algorithm>

namespace llmir {

static double usedShare(const PagedKVCache &cache) {
  const BlockPool &pool = cache.pool();
  return pool.numBlocks() == 0 ? 0.0
                               : static_cast<double>(pool.numBlocks() - pool.numFree()) /
                                     static_cast<double>(pool.numBlocks());
}

static const PagedKVCache &fullestOf(const std::vector<const PagedKVCache *> &caches) {
  return **std::max_element(
      caches.begin(), caches.end(),
      [](const PagedKVCache *a, const PagedKVCache *b) { return usedShare(*a) < usedShare(*b); });
}

Status CacheDumpRecorder::record(const PagedKVCache &cache, std::string source) {
  StatusOr<CacheDump> dump = dumpCache(cache, tree_ && &tree_->cache() == &cache ? tree_ : nullptr);
  if (!dump)
    return dump.status();
  dump_ = *std::move(dump);
  dump_.source = std::move(source);
  return Status::ok();
}

void CacheDumpRecorder::observe() {
  if (caches_.empty() || !status_)
    return;
  const PagedKVCache &cache = fullestOf(caches_);
  double used = usedShare(cache);
  double step = 1.0 / 64.0;
  if (used <= fullest_ || (used < fullest_ + step && used < 1.0))
    return;
  fullest_ = used;
  status_ = record(cache, "live pool at its fullest, in step " + std::to_string(numSteps_));
}

Proceed CacheDumpRecorder::beforeStep() {
  observe();
  ++numSteps_;
  return listener_.beforeStep();
}

Status CacheDumpRecorder::onLogits(size_t request, std::span<const float> row) {
  return listener_.onLogits(request, row);
}

Status CacheDumpRecorder::onToken(size_t request, const GeneratedToken &token) {
  // The sequences that end with this step still have their blocks.
  observe();
  return listener_.onToken(request, token);
}

Status CacheDumpRecorder::onFinish(size_t request, FinishReason reason) {
  return listener_.onFinish(request, reason);
}

Status CacheDumpRecorder::write(const std::string &path) {
  if (fullest_ == 0.0 && !caches_.empty() && status_)
    status_ = record(*caches_.front(), "live pool, never used");
  LLMIR_RETURN_IF_ERROR(status_);
  StatusOr<AtomicFile> file = AtomicFile::create(path);
  if (!file)
    return file.status();
  LLMIR_RETURN_IF_ERROR(file->write(path.ends_with(".svg") ? toSvg(dump_) : toJson(dump_)));
  return file->commit();
}

} // namespace llmir
