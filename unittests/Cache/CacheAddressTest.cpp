// The addresses of llmir_cache_layout, for every storage type, arrangement and granularity: each
// element and each stored scale has its own bits, inside its block and apart from all others.

#include "llmir/Cache/CacheLayout.h"

#include <gtest/gtest.h>

#include <vector>

using namespace llmir;

namespace {

/// Marks bits of a range of bytes as taken; each may be taken once.
class BitMap {
public:
  explicit BitMap(int64_t bytes) : taken_(static_cast<size_t>(bytes * 8)) {}

  void take(int64_t byte, int64_t firstBit, int64_t count) {
    for (int64_t bit = byte * 8 + firstBit; bit < byte * 8 + firstBit + count; ++bit) {
      ASSERT_GE(bit, 0);
      ASSERT_LT(static_cast<size_t>(bit), taken_.size());
      ASSERT_FALSE(taken_[static_cast<size_t>(bit)]) << "bit " << bit;
      taken_[static_cast<size_t>(bit)] = true;
    }
  }

private:
  std::vector<bool> taken_;
};

/// Keys or values of one head: how ABI.h says that they are addressed.
struct Elements {
  uint32_t type;
  int64_t start, headDim, tokenInterleave, tokenStride, channelInterleave, channelStride;

  void take(BitMap &bits, int64_t token, int64_t channel) const {
    bool isI4 = type == LLMIR_I4;
    int64_t size = isI4 ? 1 : llmir_element_size(type);
    int64_t half = headDim / 2;
    int64_t column = isI4 ? channel % half : channel;
    int64_t byte = start + token / tokenInterleave * tokenStride + token % tokenInterleave * size +
                   column / channelInterleave * channelStride + column % channelInterleave * size;
    bits.take(byte, isI4 && channel >= half ? 4 : 0, llmir_element_bits(type));
  }
};

void takeHead(BitMap &bits, const llmir_cache_layout &layout, int64_t head) {
  Elements keys{layout.key_type,          head,
                layout.key_head_dim,      1,
                layout.key_token_stride,  layout.key_interleave,
                layout.key_channel_stride};
  Elements values{layout.value_type,          head + layout.value_offset, layout.value_head_dim,
                  layout.value_interleave,    layout.value_token_stride,  1,
                  layout.value_channel_stride};
  int64_t scaleBits = llmir_element_bits(layout.scale_type);
  for (int64_t token = 0; token < layout.block_size; ++token) {
    for (int64_t channel = 0; channel < layout.key_head_dim; ++channel)
      keys.take(bits, token, channel);
    for (int64_t channel = 0; channel < layout.value_head_dim; ++channel)
      values.take(bits, token, channel);
    for (int64_t group = 0;
         group < llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                           layout.key_scale_group);
         ++group)
      bits.take(head + layout.key_scale_offset + group * layout.key_scale_stride +
                    token * scaleBits / 8,
                0, scaleBits);
    for (int64_t group = 0;
         group < llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                           layout.value_scale_group);
         ++group)
      bits.take(head + layout.value_scale_offset + group * layout.value_scale_stride +
                    token * scaleBits / 8,
                0, scaleBits);
  }
}

void checkLayout(const CacheParameters &parameters) {
  llmir_cache_layout layout = *makeCacheLayout(parameters);
  BitMap bits(2 * layout.block_stride);
  for (int64_t block = 0; block < 2; ++block)
    for (int64_t layer = 0; layer < layout.num_layers; ++layer)
      for (int64_t head = 0; head < layout.num_kv_heads; ++head)
        ASSERT_NO_FATAL_FAILURE(takeHead(bits, layout, headOffset(layout, block, layer, head)));
  for (int64_t offset : {layout.value_offset, layout.key_scale_offset, layout.head_stride})
    ASSERT_EQ(offset % LLMIR_ALIGNMENT, 0);
}

} // namespace

TEST(CacheAddressTest, GivesEveryElementItsOwnBits) {
  int checked = 0;
  for (uint32_t keyType = 0; keyType <= LLMIR_I4; ++keyType)
    for (uint32_t valueType = 0; valueType <= LLMIR_I4; ++valueType)
      for (uint32_t arrangement = 0; arrangement <= LLMIR_PAIRS; ++arrangement)
        for (uint32_t keyScales = 0; keyScales <= LLMIR_SCALE_GROUP; ++keyScales)
          for (uint32_t valueScales = 0; valueScales <= LLMIR_SCALE_GROUP; ++valueScales) {
            CacheParameters parameters;
            parameters.keyType = ElementType(keyType);
            parameters.valueType = ElementType(valueType);
            parameters.numLayers = 2;
            parameters.numKVHeads = 2;
            parameters.keyHeadDim = 12;
            parameters.valueHeadDim = 4;
            parameters.blockSize = 6;
            parameters.maxSeqLen = 100;
            parameters.arrangement = CacheArrangement(arrangement);
            parameters.keyScales = ScaleGranularity(keyScales);
            parameters.valueScales = ScaleGranularity(valueScales);
            parameters.scaleType = checked % 2 ? ElementType::F16 : ElementType::F32;
            parameters.keyScaleGroup = keyScales == LLMIR_SCALE_GROUP ? 3 : 0;
            parameters.valueScaleGroup = valueScales == LLMIR_SCALE_GROUP ? 2 : 0;
            if (!makeCacheLayout(parameters).isOk())
              continue;
            ASSERT_NO_FATAL_FAILURE(checkLayout(parameters));
            ++checked;
          }
  // Of each side: 3 types without scales, 2 with or without, 2 with; in two arrangements; pairs.
  EXPECT_EQ(checked, (3 + 2 * 5 + 2 * 4) * (3 + 2 * 5 + 2 * 4) * 2 + 1);
}
