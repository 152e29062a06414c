// DeviceCache: one head of a paged cache as a kernel reads and writes it. Addresses come from
// llmir_cache_layout and nothing else (docs/CacheLayout.md); dequantisation is part of a read,
// quantisation of a write.

#ifndef LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H
#define LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H

#include "DeviceElements.h"

#include "llmir/ABI.h"

namespace mlir::llm {

/// The keys or the values of a head. Addresses are element numbers of the pool, seen as elements of
/// the storage type (bytes where it is narrower) and as scales.
class DeviceCacheSide {
public:
  enum class Which : uint8_t { Keys, Values };
  /// `pool` is memref<?xi8> from block 0 on; `layer` and `head` are indices. `constantScales` is
  /// memref<?xf32> [layers][KV heads] where the layout has such scales of this side, else null.
  DeviceCacheSide(GPUKernelBuilder &builder, const llmir_cache_layout &layout, Which which,
                  Value pool, Value layer, Value head, Value constantScales);

  const CacheSide &side() const { return description; }

  /// A token of a block. `scales` is the address of its first stored scale, or null.
  struct Token {
    Value elements, scales;
  };
  Token at(Value block, Value inBlock);

  /// Channel `channel` as f32: scale * code.
  Value load(const Token &token, Value channel);

  /// Stores a token, quantised where the layout says so: channel c is `source(c)`, an f32. All
  /// threads of the block take part. `scratch` is f32 workgroup memory for reduceBlock of one
  /// value; null where no scale is stored.
  void store(const Token &token, llvm::function_ref<Value(Value channel)> source, Value scratch);

private:
  Value unitAt(const Token &token, Value unit);
  Value scaleOf(const Token &token, Value channel);
  Value emitInverse(const Token &token, Value firstChannel, llvm::function_ref<Value(Value)> source,
                    Value scratch);

  GPUKernelBuilder &b;
  const llmir_cache_layout &layout;
  CacheSide description;
  Value layer, head;
  int64_t size;                               ///< Bytes of a unit.
  int64_t offset, tokenStride, channelStride; ///< In units.
  int64_t tokenInterleave, channelInterleave; ///< Of values, of keys; 1: none.
  Value elements, scales;                     ///< Views of the pool.
  Value constant;                             ///< The head's constant scale, or null.
};

/// Constant scales as kernels take them, memref<?xf32>; null for a side without.
struct ConstantScales {
  Value keys, values;
};

struct DeviceCache {
  DeviceCache(GPUKernelBuilder &builder, const llmir_cache_layout &layout, Value pool, Value layer,
              Value head, const ConstantScales &scales);
  DeviceCacheSide keys, values;
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOGPU_DEVICECACHE_H
