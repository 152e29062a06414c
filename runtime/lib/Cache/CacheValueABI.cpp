// The C ABI of caches as values that compiled functions make, read and end (ABI.h):
// llm.create_kv_cache, llm.lookup_kv and llm.free_kv_cache. What extends a cache is in
// CacheABI.cpp.

#include "llmir/Cache/PagedKVCache.h"

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

using llmir::CacheParameters;
using llmir::ElementType;
using llmir::PagedKVCache;
using llmir::Status;
using llmir::StatusCode;

namespace {

/// The parameters from which a layout was made.
CacheParameters parametersOf(const llmir_cache_layout &layout) {
  CacheParameters parameters;
  parameters.keyType = static_cast<ElementType>(layout.key_type);
  parameters.valueType = static_cast<ElementType>(layout.value_type);
  parameters.numLayers = layout.num_layers;
  parameters.numKVHeads = layout.num_kv_heads;
  parameters.keyHeadDim = layout.key_head_dim;
  parameters.valueHeadDim = layout.value_head_dim;
  parameters.blockSize = layout.block_size;
  parameters.maxSeqLen = layout.max_seq_len;
  parameters.arrangement = static_cast<llmir::CacheArrangement>(layout.arrangement);
  parameters.keyScales = static_cast<llmir::ScaleGranularity>(layout.key_scale_granularity);
  parameters.valueScales = static_cast<llmir::ScaleGranularity>(layout.value_scale_granularity);
  parameters.scaleType = static_cast<ElementType>(layout.scale_type);
  parameters.keyScaleGroup = layout.key_scale_group;
  parameters.valueScaleGroup = layout.value_scale_group;
  parameters.window = layout.window;
  parameters.numSinks = layout.num_sinks;
  return parameters;
}

/// Where a lookup writes: rows of `tokens` tokens for each sequence.
struct LookupTarget {
  int64_t tokens;
  uint8_t *keys, *values;
};

Status checkLookup(const PagedKVCache &cache, const llmir_cache_layout &expected,
                   uint32_t elementType) {
  if (!cache.status().isOk())
    return cache.status();
  LLMIR_RETURN_IF_ERROR(llmir::checkSameLayout(cache.layout(), expected));
  LLMIR_RETURN_IF_ERROR(cache.checkConstantScales());
  for (ElementType type : {cache.keyElementType(), cache.valueElementType()})
    if (type != static_cast<ElementType>(elementType))
      return llmir::failedPrecondition("expected a cache whose arrays are in " +
                                       llmir::elementTypeName(elementType) + ", but it has " +
                                       llmir::elementTypeName(type));
  return Status::ok();
}

/// Reads the first `length` tokens of a sequence whose blocks are `blocks`; the rest is zero.
Status lookUpSequence(const PagedKVCache &cache, int64_t layer, std::span<const int32_t> blocks,
                      int32_t length, const LookupTarget &target) {
  const llmir_cache_layout &layout = cache.layout();
  int64_t room =
      std::min<int64_t>(target.tokens, static_cast<int64_t>(blocks.size()) * layout.block_size);
  if (length < 0 || length > room)
    return llmir::invalidArgument("expected a length in 0.." + std::to_string(room) +
                                  ", what the table and the result have room for, but got " +
                                  std::to_string(length));
  int64_t size = llmir_element_size(static_cast<uint32_t>(cache.keyElementType()));
  int64_t keyRow = layout.num_kv_heads * layout.key_head_dim * size;
  int64_t valueRow = layout.num_kv_heads * layout.value_head_dim * size;
  std::vector<int32_t> blockOfToken(static_cast<size_t>(length));
  for (int32_t token = 0; token < length; ++token)
    blockOfToken[static_cast<size_t>(token)] =
        blocks[static_cast<size_t>(token / layout.block_size)];
  if (length > 0)
    LLMIR_RETURN_IF_ERROR(
        cache.lookupKV(blockOfToken.data(), &length, 1, target.keys, target.values, layer));
  std::fill_n(target.keys + length * keyRow, (target.tokens - length) * keyRow, uint8_t{0});
  std::fill_n(target.values + length * valueRow, (target.tokens - length) * valueRow, uint8_t{0});
  return Status::ok();
}

Status lookUp(const PagedKVCache &cache, const llmir_cache_lookup &lookup) {
  LLMIR_RETURN_IF_ERROR(checkLookup(cache, *lookup.expected, lookup.element_type));
  const llmir_cache_layout &layout = cache.layout();
  int64_t size = llmir_element_size(lookup.element_type);
  int64_t row = lookup.num_tokens * layout.num_kv_heads * size;
  for (int64_t s = 0; s < lookup.num_sequences; ++s) {
    LookupTarget target = {lookup.num_tokens,
                           static_cast<uint8_t *>(lookup.keys) + s * row * layout.key_head_dim,
                           static_cast<uint8_t *>(lookup.values) + s * row * layout.value_head_dim};
    std::span<const int32_t> blocks(lookup.table + s * lookup.table_stride,
                                    static_cast<size_t>(lookup.table_stride));
    Status status = lookUpSequence(cache, lookup.layer, blocks, lookup.lengths[s], target);
    if (!status.isOk())
      return status.withContext("row " + std::to_string(s));
  }
  return Status::ok();
}

} // namespace

llmir_rt_cache *llmir_rt_cache_create(const llmir_cache_layout *layout, uint32_t element_type,
                                      int64_t num_blocks) {
  if (!layout)
    return nullptr;
  auto cache = std::make_unique<PagedKVCache>(parametersOf(*layout),
                                              static_cast<ElementType>(element_type), num_blocks);
  // A cache of another layout than the one asked for would be read wrongly: keep the reason in it.
  if (cache->status().isOk())
    if (Status same = llmir::checkSameLayout(cache->layout(), *layout); !same.isOk())
      cache->fail(same.withContext("llmir_rt_cache_create"));
  return cache.release()->handle();
}

void llmir_rt_cache_free(llmir_rt_cache *cache) {
  if (cache)
    delete PagedKVCache::fromHandle(cache);
}

int32_t llmir_rt_cache_lookup(llmir_rt_cache *handle, const llmir_cache_lookup *lookup) {
  if (!handle || !lookup)
    return static_cast<int32_t>(StatusCode::InvalidArgument);
  PagedKVCache &cache = *PagedKVCache::fromHandle(handle);
  Status status = lookUp(cache, *lookup);
  if (status.isOk())
    return 0;
  cache.fail(status.withContext("llmir_rt_cache_lookup"));
  const llmir_cache_layout &expected = *lookup->expected;
  int64_t rows = lookup->num_sequences * lookup->num_tokens * expected.num_kv_heads *
                 llmir_element_size(lookup->element_type);
  std::fill_n(static_cast<uint8_t *>(lookup->keys), rows * expected.key_head_dim, uint8_t{0});
  std::fill_n(static_cast<uint8_t *>(lookup->values), rows * expected.value_head_dim, uint8_t{0});
  return static_cast<int32_t>(status.code());
}
