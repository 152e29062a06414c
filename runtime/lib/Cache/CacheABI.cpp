// The C ABI of caches that compiled functions manage themselves (ABI.h): thin wrappers around
// PagedKVCache that turn a Status into a number and keep it in the cache.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <string>

using llmir::PagedKVCache;
using llmir::SequenceId;
using llmir::Status;
using llmir::StatusCode;

namespace {

int32_t asNumber(StatusCode code) { return static_cast<int32_t>(code); }

/// The checks that every call needs; a failure is kept in the cache.
Status checkCall(PagedKVCache &cache, const int32_t *seqIds, int64_t batch, int64_t columns) {
  if (!cache.status().isOk())
    return cache.status();
  if (batch < 0 || columns < 0 || (batch > 0 && !seqIds))
    return llmir::invalidArgument("expected sequence ids and sizes of 0 or more, but got " +
                                  std::string(seqIds ? "" : "no ids, ") + std::to_string(batch) +
                                  " sequences and " + std::to_string(columns) + " columns");
  return Status::ok();
}

Status append(PagedKVCache &cache, const int32_t *seqIds, int64_t batch, int64_t tokens,
              int32_t *slots, int32_t *blocks) {
  LLMIR_RETURN_IF_ERROR(checkCall(cache, seqIds, batch, tokens));
  return cache.reserveSlots(seqIds, batch, tokens, slots, blocks);
}

Status copyTables(PagedKVCache &cache, const int32_t *seqIds, int64_t batch, int64_t maxBlocks,
                  int32_t *table) {
  LLMIR_RETURN_IF_ERROR(checkCall(cache, seqIds, batch, maxBlocks));
  for (int64_t b = 0; b < batch; ++b)
    LLMIR_RETURN_IF_ERROR(cache.copyBlockTable(
        SequenceId{seqIds[b]}, {table + b * maxBlocks, static_cast<size_t>(maxBlocks)}));
  return Status::ok();
}

} // namespace

int32_t llmir_rt_cache_append(llmir_rt_cache *handle, const int32_t *seq_ids, int64_t batch,
                              int64_t tokens, int32_t *slots, int32_t *blocks) {
  if (!handle)
    return asNumber(StatusCode::InvalidArgument);
  PagedKVCache &cache = *PagedKVCache::fromHandle(handle);
  Status status = append(cache, seq_ids, batch, tokens, slots, blocks);
  if (status.isOk())
    return 0;
  cache.fail(status.withContext("llmir_rt_cache_append"));
  int64_t count = std::max<int64_t>(batch, 0) * std::max<int64_t>(tokens, 0);
  std::fill_n(slots, count, -1);
  std::fill_n(blocks, count, 0);
  return asNumber(status.code());
}

int32_t llmir_rt_cache_block_table(llmir_rt_cache *handle, const int32_t *seq_ids, int64_t batch,
                                   int64_t max_blocks, int32_t *table) {
  if (!handle)
    return asNumber(StatusCode::InvalidArgument);
  PagedKVCache &cache = *PagedKVCache::fromHandle(handle);
  Status status = copyTables(cache, seq_ids, batch, max_blocks, table);
  if (status.isOk())
    return 0;
  cache.fail(status.withContext("llmir_rt_cache_block_table"));
  std::fill_n(table, std::max<int64_t>(batch, 0) * std::max<int64_t>(max_blocks, 0), 0);
  return asNumber(status.code());
}

uint8_t *llmir_rt_cache_base(llmir_rt_cache *handle, const llmir_cache_layout *expected) {
  if (!handle || !expected)
    return nullptr;
  PagedKVCache &cache = *PagedKVCache::fromHandle(handle);
  if (!cache.status().isOk())
    return nullptr;
  Status status = llmir::checkSameLayout(cache.layout(), *expected);
  if (status.isOk())
    status = cache.checkConstantScales();
  if (status.isOk())
    return cache.base();
  cache.fail(status.withContext("llmir_rt_cache_base"));
  return nullptr;
}

const float *llmir_rt_cache_key_scales(llmir_rt_cache *handle) {
  return handle ? PagedKVCache::fromHandle(handle)->constantKeyScales().data() : nullptr;
}

const float *llmir_rt_cache_value_scales(llmir_rt_cache *handle) {
  return handle ? PagedKVCache::fromHandle(handle)->constantValueScales().data() : nullptr;
}
