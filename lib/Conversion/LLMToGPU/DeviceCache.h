// DeviceCache: one head of a paged cache as a kernel reads and writes it. Addresses come from
// llmir_cache_layout and nothing else (docs/CacheLayout.md).

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H

#include "GPUKernelBuilder.h"

#include "llmir/ABI.h"

namespace mlir::llm {

/// Addresses are element numbers of the pool seen as elements of the storage type of keys or of
/// values.
class DeviceCache {
public:
  /// `pool` is memref<?xi8> from block 0 on; `layer` and `head` are indices.
  DeviceCache(GPUKernelBuilder &builder, const llmir_cache_layout &layout, Value pool, Value layer,
              Value head);

  /// Channel 0 of the key, or of the value, of token `inBlock` of `block`.
  Value keyAddress(Value block, Value inBlock);
  Value valueAddress(Value block, Value inBlock);

  /// Channel `channel` as f32.
  Value loadKey(Value address, Value channel);
  Value loadValue(Value address, Value channel);
  /// Rounds an f32 to the storage type.
  void storeKey(Value value, Value address, Value channel);
  void storeValue(Value value, Value address, Value channel);

private:
  /// Keys or values: their view of the pool and their strides in elements.
  struct Side {
    Type type;
    Value elements;
    int64_t size;
    int64_t offset, tokenStride, channelStride;
  };
  Side makeSide(uint32_t type, Value pool, int64_t offset, int64_t tokenStride,
                int64_t channelStride);
  Value address(const Side &side, Value block, Value inBlock);
  Value at(const Side &side, Value address, Value channel);

  GPUKernelBuilder &b;
  const llmir_cache_layout &layout;
  Value layer, head;
  Side keys, values;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H
