// Addresses in a paged KV cache: see CacheAddress.h.

#include "CacheAddress.h"

namespace mlir::llm {

Type cacheElementType(Builder &builder, uint32_t elementType) {
  switch (elementType) {
  case LLMIR_F16:
    return builder.getF16Type();
  case LLMIR_BF16:
    return builder.getBF16Type();
  case LLMIR_F8E4M3FN:
  case LLMIR_F8E5M2:
  case LLMIR_I8:
  case LLMIR_I4:
    return builder.getI8Type();
  default:
    return builder.getF32Type();
  }
}

std::string cacheName(const llmir_cache_layout &layout) {
  const char *names[] = {"f32", "f16", "bf16", "e4m3", "e5m2", "i8", "i4"};
  const char *scales[] = {"", "_tensor", "_head", "_token", "_group"};
  const char *arrangements[] = {"", "_tokenmajor", "_pairs"};
  auto sideName = [&](uint32_t type, uint32_t granularity, int32_t group) {
    std::string name = std::string(names[type]) + scales[granularity];
    return granularity == LLMIR_SCALE_GROUP ? name + std::to_string(group) : name;
  };
  std::string keys =
      sideName(layout.key_type, layout.key_scale_granularity, layout.key_scale_group);
  std::string values =
      sideName(layout.value_type, layout.value_scale_granularity, layout.value_scale_group);
  std::string name = keys == values ? keys : keys + "_" + values;
  if (layout.scale_type != LLMIR_F32)
    name += std::string("_") + names[layout.scale_type];
  name += arrangements[layout.arrangement];
  for (int32_t part : {layout.num_layers, layout.num_kv_heads, layout.key_head_dim,
                       layout.value_head_dim, layout.block_size})
    name += "_" + std::to_string(part);
  if (layout.window > 0)
    name += "_w" + std::to_string(layout.window) + "_" + std::to_string(layout.num_sinks);
  return name;
}

Value emitHeadAddress(KernelBuilder &b, const llmir_cache_layout &layout, Value block, Value layer,
                      Value head) {
  Value address = b.mul(block, b.index(layout.block_stride));
  address = b.add(address, b.mul(layer, b.index(layout.layer_stride)));
  return b.add(address, b.mul(head, b.index(layout.head_stride)));
}

Value emitValueTokenOffset(KernelBuilder &b, const llmir_cache_layout &layout, Value token) {
  if (layout.value_interleave == 1)
    return b.mul(token, b.index(layout.value_token_stride));
  Value pair = b.div(token, b.index(layout.value_interleave));
  Value rest = b.rem(token, b.index(layout.value_interleave));
  return b.add(b.mul(pair, b.index(layout.value_token_stride)),
               b.mul(rest, b.index(llmir_element_size(layout.value_type))));
}

} // namespace mlir::llm
