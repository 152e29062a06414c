// CacheCodec: tiles of tokens and units through a buffer on the stack: convert (RowKernels), then
// move to their places (Transpose), or the other way round. Nothing is allocated.

#include "llmir/Cache/CacheCodec.h"

#include "RowKernels.h"
#include "Transpose.h"
#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cstring>

namespace llmir {

namespace {

/// Tokens and units of a tile. A unit has at most 4 bytes.
constexpr int64_t tileTokens = 16, tileUnits = 64, tileStride = tileUnits * 4;

float largestCode(ElementType storage) {
  switch (storage) {
  case ElementType::I8:
    return 127;
  case ElementType::I4:
    return 7;
  case ElementType::F8E4M3FN:
    return 448;
  default: // f8E5M2; others have no scales
    return 57344;
  }
}

uint16_t scaleToHalf(float scale) { return scale > 65504 ? 0x7bff : floatToHalf(scale); }

void storeScale(uint8_t *address, float scale, ElementType type) {
  if (type == ElementType::F32) {
    std::memcpy(address, &scale, sizeof(scale));
    return;
  }
  uint16_t bits = type == ElementType::F16 ? scaleToHalf(scale) : floatToBFloat16(scale);
  std::memcpy(address, &bits, sizeof(bits));
}

float loadScale(const uint8_t *address, ElementType type) {
  if (type == ElementType::F32) {
    float scale;
    std::memcpy(&scale, address, sizeof(scale));
    return scale;
  }
  uint16_t bits;
  std::memcpy(&bits, address, sizeof(bits));
  return type == ElementType::F16 ? halfToFloat(bits) : bfloat16ToFloat(bits);
}

float inverseOf(float scale) { return scale > 0 ? 1 / scale : 0; }

/// target[2i] = even[i], target[2i + 1] = odd[i], elements of two bytes.
void interleaveRows(uint8_t *target, const uint8_t *even, const uint8_t *odd, int64_t count) {
  for (int64_t i = 0; i < count; ++i) {
    std::memcpy(target + 4 * i, even + 2 * i, 2);
    std::memcpy(target + 4 * i + 2, odd + 2 * i, 2);
  }
}

} // namespace

float scaleForMagnitude(float magnitude, ElementType storage, ElementType scaleType) {
  uint8_t bytes[4];
  storeScale(bytes, magnitude / largestCode(storage), scaleType);
  return loadScale(bytes, scaleType);
}

float maxMagnitude(ElementType array, const void *data, int64_t count) {
  return rowKernels(array, array).maxMagnitude(static_cast<const uint8_t *>(data), count);
}

CacheCodec::CacheCodec(const llmir_cache_layout &layout, CacheSide side, ElementType array) {
  if (side == CacheSide::Keys)
    setKeys(layout);
  else
    setValues(layout);
  scaleType_ = static_cast<ElementType>(layout.scale_type);
  arraySize_ = elementSize(array);
  isPlain_ = array == storage_;
  if (storage_ == ElementType::I4)
    unitChannels_ = 2;
  RowKernels kernels = rowKernels(array, storage_);
  maxMagnitude_ = kernels.maxMagnitude;
  encode_ = kernels.encode;
  decode_ = kernels.decode;
}

void CacheCodec::setKeys(const llmir_cache_layout &layout) {
  storage_ = static_cast<ElementType>(layout.key_type);
  channels_ = layout.key_head_dim;
  hasScales_ = layout.key_scale_granularity != LLMIR_SCALE_NONE;
  storedGroups_ = llmir_stored_scale_groups(layout.key_scale_granularity, layout.key_head_dim,
                                            layout.key_scale_group);
  group_ = layout.key_scale_group > 0 ? layout.key_scale_group : channels_;
  scaleStart_ = layout.key_scale_offset;
  scaleStride_ = layout.key_scale_stride;
  unitChannels_ = layout.key_interleave;
  codeSize_ = std::max<int64_t>(llmir_element_size(layout.key_type), 1);
  unitSize_ = codeSize_ * unitChannels_;
  tokenStride_ = layout.key_token_stride;
  unitStride_ = layout.key_channel_stride;
  order_ = layout.arrangement == LLMIR_TOKEN_MAJOR_KEYS ? Order::Rows : Order::Columns;
}

void CacheCodec::setValues(const llmir_cache_layout &layout) {
  storage_ = static_cast<ElementType>(layout.value_type);
  channels_ = layout.value_head_dim;
  hasScales_ = layout.value_scale_granularity != LLMIR_SCALE_NONE;
  storedGroups_ = llmir_stored_scale_groups(layout.value_scale_granularity, layout.value_head_dim,
                                            layout.value_scale_group);
  group_ = layout.value_scale_group > 0 ? layout.value_scale_group : channels_;
  scaleStart_ = layout.value_scale_offset;
  scaleStride_ = layout.value_scale_stride;
  codeSize_ = unitSize_ = std::max<int64_t>(llmir_element_size(layout.value_type), 1);
  start_ = layout.value_offset;
  interleave_ = layout.value_interleave;
  tokenStride_ = layout.value_token_stride;
  unitStride_ = layout.value_channel_stride;
  order_ = interleave_ == 2 ? Order::TokenPairs : Order::Rows;
}

uint8_t *CacheCodec::address(const StoredTokens &tokens, int64_t token, int64_t unit) const {
  return tokens.head + start_ + token / interleave_ * tokenStride_ +
         token % interleave_ * unitSize_ + unit * unitStride_;
}

uint8_t *CacheCodec::scaleAddress(const StoredTokens &tokens, int64_t token, int64_t group) const {
  return tokens.head + scaleStart_ + group * scaleStride_ + token * elementSize(scaleType_);
}

float CacheCodec::scale(const StoredTokens &tokens, int64_t token, int64_t group) const {
  if (storedGroups_ > 0)
    return loadScale(scaleAddress(tokens, token, group), scaleType_);
  return hasScales_ ? tokens.constantScale : 1;
}

void CacheCodec::storeScales(const StoredTokens &target, ConstTokenRows rows) const {
  for (int64_t t = 0; t < target.count; ++t)
    for (int64_t g = 0; g < storedGroups_; ++g) {
      const uint8_t *channels = rows.data + t * rows.stride + g * group_ * arraySize_;
      storeScale(scaleAddress(target, target.first + t, g),
                 maxMagnitude_(channels, group_) / largestCode(storage_), scaleType_);
    }
}

/// Channels [first, end) of a row, one code each; `codes` has the first one's.
void CacheCodec::encodeChannels(const StoredTokens &target, int64_t token, const uint8_t *row,
                                int64_t first, int64_t end, uint8_t *codes) const {
  for (int64_t c = first; c < end;) {
    int64_t next = std::min(end, (c / group_ + 1) * group_);
    float factor = hasScales_ ? inverseOf(scale(target, token, c / group_)) : 1;
    encode_(row + c * arraySize_, next - c, factor, codes + (c - first) * codeSize_);
    c = next;
  }
}

void CacheCodec::decodeChannels(const StoredTokens &source, int64_t token, const uint8_t *codes,
                                int64_t first, int64_t end, uint8_t *row) const {
  for (int64_t c = first; c < end;) {
    int64_t next = std::min(end, (c / group_ + 1) * group_);
    decode_(codes + (c - first) * codeSize_, next - c, scale(source, token, c / group_),
            row + c * arraySize_);
    c = next;
  }
}

/// Units [first, end) of a token; `units` has the first one.
void CacheCodec::encodeUnits(const StoredTokens &target, int64_t token, const uint8_t *row,
                             int64_t first, int64_t end, uint8_t *units) const {
  if (storage_ != ElementType::I4) {
    encodeChannels(target, token, row, first * unitChannels_, end * unitChannels_, units);
    return;
  }
  uint8_t low[tileUnits], high[tileUnits];
  for (int64_t u = first; u < end; u += tileUnits) {
    int64_t count = std::min(tileUnits, end - u);
    encodeChannels(target, token, row, u, u + count, low);
    encodeChannels(target, token, row, numUnits() + u, numUnits() + u + count, high);
    for (int64_t i = 0; i < count; ++i)
      units[u - first + i] = static_cast<uint8_t>(low[i] | high[i] << 4);
  }
}

void CacheCodec::decodeUnits(const StoredTokens &source, int64_t token, const uint8_t *units,
                             int64_t first, int64_t end, uint8_t *row) const {
  if (storage_ != ElementType::I4) {
    decodeChannels(source, token, units, first * unitChannels_, end * unitChannels_, row);
    return;
  }
  uint8_t low[tileUnits], high[tileUnits];
  for (int64_t u = first; u < end; u += tileUnits) {
    int64_t count = std::min(tileUnits, end - u);
    for (int64_t i = 0; i < count; ++i) {
      low[i] = units[u - first + i] & 0xf;
      high[i] = static_cast<uint8_t>(units[u - first + i] >> 4);
    }
    decodeChannels(source, token, low, u, u + count, row);
    decodeChannels(source, token, high, numUnits() + u, numUnits() + u + count, row);
  }
}

/// Moves `count` units of each of `tokens` tokens to their places; `target` is the first one's.
void CacheCodec::scatter(uint8_t *target, ConstTokenRows units, int64_t firstToken, int64_t tokens,
                         int64_t count) const {
  if (order_ == Order::Columns) {
    transpose({target, unitStride_}, {units.data, units.stride}, tokens, count, unitSize_);
    return;
  }
  for (int64_t t = 0; t < tokens;) {
    int64_t token = firstToken + t;
    uint8_t *to = target + (token / interleave_ - firstToken / interleave_) * tokenStride_ +
                  (token % interleave_ - firstToken % interleave_) * unitSize_;
    const uint8_t *from = units.data + t * units.stride;
    if (order_ == Order::Rows) {
      std::memcpy(to, from, static_cast<size_t>(count * unitSize_));
    } else if (token % 2 == 0 && t + 1 < tokens) {
      interleaveRows(to, from, from + units.stride, count);
      ++t;
    } else {
      transpose({to, unitStride_}, {from, units.stride}, 1, count, unitSize_);
    }
    ++t;
  }
}

/// The way back.
void CacheCodec::gather(const uint8_t *source, TokenRows units, int64_t firstToken, int64_t tokens,
                        int64_t count) const {
  if (order_ == Order::Columns) {
    transpose({units.data, units.stride}, {source, unitStride_}, count, tokens, unitSize_);
    return;
  }
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t token = firstToken + t;
    const uint8_t *from = source + (token / interleave_ - firstToken / interleave_) * tokenStride_ +
                          (token % interleave_ - firstToken % interleave_) * unitSize_;
    uint8_t *to = units.data + t * units.stride;
    if (order_ == Order::Rows)
      std::memcpy(to, from, static_cast<size_t>(count * unitSize_));
    else
      transpose({to, units.stride}, {from, unitStride_}, count, 1, unitSize_);
  }
}

void CacheCodec::encode(const StoredTokens &target, ConstTokenRows rows) const {
  if (isPlain_) {
    scatter(address(target, target.first, 0), rows, target.first, target.count, numUnits());
    return;
  }
  storeScales(target, rows);
  alignas(64) uint8_t tile[tileTokens * tileStride];
  for (int64_t t = 0; t < target.count; t += tileTokens)
    for (int64_t u = 0; u < numUnits(); u += tileUnits) {
      int64_t tokens = std::min(tileTokens, target.count - t);
      int64_t end = std::min(numUnits(), u + tileUnits);
      for (int64_t i = 0; i < tokens; ++i)
        encodeUnits(target, target.first + t + i, rows.data + (t + i) * rows.stride, u, end,
                    tile + i * tileStride);
      scatter(address(target, target.first + t, u), {tile, tileStride}, target.first + t, tokens,
              end - u);
    }
}

void CacheCodec::decode(const StoredTokens &source, TokenRows rows) const {
  if (isPlain_) {
    gather(address(source, source.first, 0), rows, source.first, source.count, numUnits());
    return;
  }
  alignas(64) uint8_t tile[tileTokens * tileStride];
  for (int64_t t = 0; t < source.count; t += tileTokens)
    for (int64_t u = 0; u < numUnits(); u += tileUnits) {
      int64_t tokens = std::min(tileTokens, source.count - t);
      int64_t end = std::min(numUnits(), u + tileUnits);
      gather(address(source, source.first + t, u), {tile, tileStride}, source.first + t, tokens,
             end - u);
      for (int64_t i = 0; i < tokens; ++i)
        decodeUnits(source, source.first + t + i, tile + i * tileStride, u, end,
                    rows.data + (t + i) * rows.stride);
    }
}

} // namespace llmir
