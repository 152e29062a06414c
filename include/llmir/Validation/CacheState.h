// A paged KV cache as the interpreter sees it: the runtime's cache keeps sequences and blocks, the
// naive storage rule of Reference reads and writes what they hold.

#ifndef LLMIR_VALIDATION_CACHESTATE_H
#define LLMIR_VALIDATION_CACHESTATE_H

#include "llmir/Cache/PagedKVCache.h"
#include "llmir/Dialect/LLM/IR/LLMTypes.h"
#include "llmir/Reference/CacheStorage.h"

#include <span>
#include <vector>

namespace mlir::llm {

/// The parameters of the runtime's cache for a cache type.
::llmir::CacheParameters getCacheParameters(PagedKVCacheType type);

/// One cache. Where scales are constants it has fixed ones, which depend on layer and head alone.
class CacheState {
public:
  /// status() of `cache()` says if that is impossible.
  CacheState(PagedKVCacheType type, int64_t numBlocks);

  PagedKVCacheType type() const { return cacheType; }
  const llmir_cache_layout &layout() const { return runtime.layout(); }
  ::llmir::PagedKVCache &cache() { return runtime; }
  const ::llmir::PagedKVCache &cache() const { return runtime; }
  /// The version of the values that may still be used.
  int64_t version = 0;

  /// Slots of the pool.
  int64_t numSlots() const {
    return static_cast<int64_t>(runtime.pool().numBlocks()) * layout().block_size;
  }
  /// Stores a token's keys [KV heads * head size] and values; the slot and layer are in range.
  void store(int64_t layer, int64_t slot, std::span<const double> keys,
             std::span<const double> values);
  double key(int64_t layer, int64_t slot, int64_t head, int64_t channel) const {
    return ::llmir::reference::readKey(layout(), runtime.base(), layer, slot, head, channel,
                                       constants());
  }
  double value(int64_t layer, int64_t slot, int64_t head, int64_t channel) const {
    return ::llmir::reference::readValue(layout(), runtime.base(), layer, slot, head, channel,
                                         constants());
  }

private:
  ::llmir::reference::ConstantScales constants() const {
    return {runtime.constantKeyScales(), runtime.constantValueScales()};
  }

  PagedKVCacheType cacheType;
  ::llmir::PagedKVCache runtime;
};

} // namespace mlir::llm

#endif // LLMIR_VALIDATION_CACHESTATE_H
