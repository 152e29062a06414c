// Addresses in a paged KV cache: see CacheAddress.h.

#include "CacheAddress.h"

namespace mlir::llm {

Type cacheElementType(Builder &builder, uint32_t elementType) {
  switch (elementType) {
  case LLMIR_F16:
    return builder.getF16Type();
  case LLMIR_BF16:
    return builder.getBF16Type();
  default:
    return builder.getF32Type();
  }
}

std::string cacheName(const llmir_cache_layout &layout) {
  const char *names[] = {"f32", "f16", "bf16"};
  std::string name = names[layout.key_type];
  if (layout.value_type != layout.key_type)
    name += std::string("_") + names[layout.value_type];
  for (int32_t part : {layout.num_layers, layout.num_kv_heads, layout.key_head_dim,
                       layout.value_head_dim, layout.block_size})
    name += "_" + std::to_string(part);
  return name;
}

Value emitHeadAddress(KernelBuilder &b, const llmir_cache_layout &layout, Value block, Value layer,
                      Value head) {
  Value address = b.mul(block, b.index(layout.block_stride));
  address = b.add(address, b.mul(layer, b.index(layout.layer_stride)));
  return b.add(address, b.mul(head, b.index(layout.head_stride)));
}

} // namespace mlir::llm
