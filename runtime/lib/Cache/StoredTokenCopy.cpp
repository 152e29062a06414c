// Addresses as ABI.h defines them: a unit is an element, or a byte of two i4 channels.

#include "llmir/Cache/StoredTokenCopy.h"

#include "llmir/Cache/CacheLayout.h"

#include <algorithm>
#include <cstring>

namespace llmir {

namespace {

/// How a side of a head lies: unit u of token t is at
/// offset + (t / tokenGroup) * tokenStride + (t % tokenGroup) * unitBytes
///        + (u / unitGroup) * unitStride + (u % unitGroup) * unitBytes.
struct Side {
  int64_t offset, units, unitBytes;
  int64_t tokenStride, tokenGroup;
  int64_t unitStride, unitGroup;

  int64_t at(int64_t token, int64_t unit) const {
    return offset + token / tokenGroup * tokenStride + token % tokenGroup * unitBytes +
           unit / unitGroup * unitStride + unit % unitGroup * unitBytes;
  }
};

Side keysOf(const llmir_cache_layout &layout) {
  int64_t bytes = llmir_element_size(layout.key_type);
  return {0,
          bytes ? layout.key_head_dim : layout.key_head_dim / 2,
          std::max<int64_t>(bytes, 1),
          layout.key_token_stride,
          1,
          layout.key_channel_stride,
          layout.key_interleave};
}

Side valuesOf(const llmir_cache_layout &layout) {
  int64_t bytes = llmir_element_size(layout.value_type);
  return {layout.value_offset,
          bytes ? layout.value_head_dim : layout.value_head_dim / 2,
          std::max<int64_t>(bytes, 1),
          layout.value_token_stride,
          layout.value_interleave,
          layout.value_channel_stride,
          1};
}

Side scalesOf(const llmir_cache_layout &layout, int64_t groups, int64_t offset, int64_t stride) {
  int64_t bytes = llmir_element_size(layout.scale_type);
  return {offset, groups, bytes, bytes, 1, stride, 1};
}

void copySide(const Side &side, const uint8_t *from, int64_t fromToken, uint8_t *to,
              int64_t toToken) {
  for (int64_t unit = 0; unit < side.units; ++unit)
    std::memcpy(to + side.at(toToken, unit), from + side.at(fromToken, unit),
                static_cast<size_t>(side.unitBytes));
}

} // namespace

void copyStoredToken(const llmir_cache_layout &layout, uint8_t *base, int32_t fromSlot,
                     int32_t toSlot) {
  const Side sides[] = {
      keysOf(layout), valuesOf(layout),
      scalesOf(layout,
               llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                         layout.key_scale_group),
               layout.key_scale_offset, layout.key_scale_stride),
      scalesOf(layout,
               llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                         layout.value_scale_group),
               layout.value_scale_offset, layout.value_scale_stride)};
  for (int64_t layer = 0; layer < layout.num_layers; ++layer)
    for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
      const uint8_t *from = base + headOffset(layout, fromSlot / layout.block_size, layer, head);
      uint8_t *to = base + headOffset(layout, toSlot / layout.block_size, layer, head);
      for (const Side &side : sides)
        copySide(side, from, fromSlot % layout.block_size, to, toSlot % layout.block_size);
    }
}

} // namespace llmir
