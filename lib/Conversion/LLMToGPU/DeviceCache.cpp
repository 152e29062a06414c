// Addresses of a paged cache in kernels: see DeviceCache.h.

#include "DeviceCache.h"

#include "../LLMToCPU/CacheAddress.h"

namespace mlir::llm {

DeviceCache::DeviceCache(GPUKernelBuilder &builder, const llmir_cache_layout &layout, Value pool,
                         Value layer, Value head)
    : b(builder), layout(layout), layer(layer), head(head),
      keys(makeSide(layout.key_type, pool, 0, layout.key_token_stride, layout.key_channel_stride)),
      values(makeSide(layout.value_type, pool, layout.value_offset, layout.value_token_stride,
                      layout.value_channel_stride)) {}

DeviceCache::Side DeviceCache::makeSide(uint32_t type, Value pool, int64_t offset,
                                        int64_t tokenStride, int64_t channelStride) {
  Side side;
  side.type = cacheElementType(b, type);
  side.size = llmir_element_size(type);
  side.elements = b.viewBytes(pool, side.type);
  // Every part of a layout starts at a multiple of its elements' size.
  side.offset = offset / side.size;
  side.tokenStride = tokenStride / side.size;
  side.channelStride = channelStride / side.size;
  return side;
}

Value DeviceCache::address(const Side &side, Value block, Value inBlock) {
  Value address = b.mul(block, b.index(layout.block_stride / side.size));
  address = b.add(address, b.mul(layer, b.index(layout.layer_stride / side.size)));
  address = b.add(address, b.mul(head, b.index(layout.head_stride / side.size)));
  address = b.add(address, b.index(side.offset));
  return b.add(address, b.mul(inBlock, b.index(side.tokenStride)));
}

Value DeviceCache::at(const Side &side, Value address, Value channel) {
  return b.add(address, b.mul(channel, b.index(side.channelStride)));
}

Value DeviceCache::keyAddress(Value block, Value inBlock) { return address(keys, block, inBlock); }
Value DeviceCache::valueAddress(Value block, Value inBlock) {
  return address(values, block, inBlock);
}
Value DeviceCache::loadKey(Value address, Value channel) {
  return b.extend(b.load(keys.elements, at(keys, address, channel)));
}
Value DeviceCache::loadValue(Value address, Value channel) {
  return b.extend(b.load(values.elements, at(values, address, channel)));
}
void DeviceCache::storeKey(Value value, Value address, Value channel) {
  b.store(b.truncate(value, keys.type), keys.elements, at(keys, address, channel));
}
void DeviceCache::storeValue(Value value, Value address, Value channel) {
  b.store(b.truncate(value, values.type), values.elements, at(values, address, channel));
}

} // namespace mlir::llm
