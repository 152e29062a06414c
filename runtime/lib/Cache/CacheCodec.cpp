// CacheCodec: tiles of tokens and units through a buffer on the stack: convert (RowKernels), then
// move to their places (Transpose), or the other way round. Nothing is allocated.

#include "llmir/Cache/CacheCodec.h"

#include "RowKernels.h"
#include "Transpose.h"
#include "llmir/Base/Float16.h"

#include <algorithm>
#include <cstring>
#include <limits>

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

/// What a scale is at most.
float largestScale(ElementType scaleType) {
  return scaleType == ElementType::F16 ? 65504 : std::numeric_limits<float>::infinity();
}

constexpr float ones[tileTokens] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

void storeScale(uint8_t *address, float scale, ElementType type) {
  if (type == ElementType::F32) {
    std::memcpy(address, &scale, sizeof(scale));
    return;
  }
  uint16_t bits = type == ElementType::F16 ? floatToHalf(scale) : floatToBFloat16(scale);
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

/// Rows are short: a call for each would cost more than the copy.
void copyRow(uint8_t *to, const uint8_t *from, int64_t bytes) {
  constexpr int64_t piece = 32;
  int64_t at = 0;
  for (; at + piece <= bytes; at += piece)
    std::memcpy(to + at, from + at, piece);
  for (; at < bytes; ++at)
    to[at] = from[at];
}

float scaleBeforeRounding(float magnitude, ElementType storage, ElementType scaleType) {
  return std::min(magnitude / largestCode(storage), largestScale(scaleType));
}

} // namespace

float scaleForMagnitude(float magnitude, ElementType storage, ElementType scaleType) {
  uint8_t stored[sizeof(float)];
  storeScale(stored, scaleBeforeRounding(magnitude, storage, scaleType), scaleType);
  return loadScale(stored, scaleType);
}

float maxMagnitude(ElementType array, const void *data, int64_t count) {
  float largest;
  rowKernels(array, array)
      .maxMagnitudes({static_cast<const uint8_t *>(data), 0}, 1, count, &largest);
  return largest;
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
  kernels_ = &rowKernels(array, storage_);
  scaleKernels_ = &rowKernels(ElementType::F32, scaleType_);
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

/// Stores `count` scales, the first one of (token, group).
void CacheCodec::storeRun(const StoredTokens &tokens, int64_t token, int64_t group, Axis axis,
                          const float *scales, int64_t count) const {
  uint8_t *address = scaleAddress(tokens, token, group);
  if (axis == Axis::Tokens && count > 4) { // side by side
    scaleKernels_->encode({reinterpret_cast<const uint8_t *>(scales), 0}, 1, count, ones,
                          {address, 0});
    return;
  }
  int64_t stride = axis == Axis::Tokens ? elementSize(scaleType_) : scaleStride_;
  for (int64_t i = 0; i < count; ++i)
    storeScale(address + i * stride, scales[i], scaleType_);
}

/// What codes are times: of `count` (token, group)s.
void CacheCodec::loadFactors(const StoredTokens &tokens, int64_t token, int64_t group, Axis axis,
                             int64_t count, float *factors) const {
  if (storedGroups_ == 0) {
    std::fill_n(factors, count, hasScales_ ? tokens.constantScale : 1.0f);
    return;
  }
  const uint8_t *address = scaleAddress(tokens, token, group);
  if (axis == Axis::Tokens && count > 4) {
    scaleKernels_->decode({address, 0}, 1, count, ones, {reinterpret_cast<uint8_t *>(factors), 0});
    return;
  }
  int64_t stride = axis == Axis::Tokens ? elementSize(scaleType_) : scaleStride_;
  for (int64_t i = 0; i < count; ++i)
    factors[i] = loadScale(address + i * stride, scaleType_);
}

void CacheCodec::loadInverses(const StoredTokens &tokens, int64_t token, int64_t group, Axis axis,
                              int64_t count, float *inverses) const {
  loadFactors(tokens, token, group, axis, count, inverses);
  if (!hasScales_)
    return;
  for (int64_t i = 0; i < count; ++i) {
    float inverse = 1 / inverses[i];
    inverses[i] = inverses[i] > 0 ? inverse : 0;
  }
}

void CacheCodec::storeScales(const StoredTokens &target, ConstTokenRows rows) const {
  // Many at once: of neighbouring tokens, or of the groups of a single one.
  float scales[tileUnits];
  float code = largestCode(storage_), most = largestScale(scaleType_);
  bool isSingle = target.count == 1;
  int64_t tokenStep = isSingle ? 1 : tileTokens, groupStep = isSingle ? tileUnits : 1;
  for (int64_t t = 0; t < target.count; t += tokenStep)
    for (int64_t g = 0; g < storedGroups_; g += groupStep) {
      int64_t count =
          isSingle ? std::min(groupStep, storedGroups_ - g) : std::min(tokenStep, target.count - t);
      kernels_->maxMagnitudes({rows.data + t * rows.stride + g * group_ * arraySize_,
                               isSingle ? group_ * arraySize_ : rows.stride},
                              count, group_, scales);
      for (int64_t i = 0; i < count; ++i)
        scales[i] = std::min(scales[i] / code, most); // scaleBeforeRounding
      storeRun(target, target.first + t, g, isSingle ? Axis::Groups : Axis::Tokens, scales, count);
    }
}

/// All of some groups of one token, from channel `first` on (of i4: of the low half).
void CacheCodec::encodeGroups(const StoredTokens &target, int64_t token, const uint8_t *row,
                              int64_t first, int64_t groups, uint8_t *codes) const {
  float factors[tileUnits], highFactors[tileUnits];
  ConstStridedRows from{row + first * arraySize_, group_ * arraySize_};
  StridedRows to{codes, group_ * codeSize_};
  loadInverses(target, token, first / group_, Axis::Groups, groups, factors);
  if (storage_ != ElementType::I4) {
    kernels_->encode(from, groups, group_, factors, to);
    return;
  }
  int64_t high = numUnits() + first;
  loadInverses(target, token, high / group_, Axis::Groups, groups, highFactors);
  kernels_->encodePairs(from, {row + high * arraySize_, group_ * arraySize_}, groups, group_,
                        factors, highFactors, to);
}

/// Units [firstUnit, endUnit) of `count` tokens from `token` on, into a tile. `rows` are theirs.
void CacheCodec::encodeTile(const StoredTokens &target, int64_t token, int64_t count,
                            ConstTokenRows rows, int64_t firstUnit, int64_t endUnit,
                            uint8_t *tile) const {
  float factors[tileTokens], highFactors[tileTokens];
  // Of i4, a unit's channels are half a head apart, each in its group.
  bool isI4 = storage_ == ElementType::I4;
  int64_t channelsPerUnit = isI4 ? 1 : unitChannels_;
  int64_t first = firstUnit * channelsPerUnit, end = endUnit * channelsPerUnit;
  if (count == 1 && first % group_ == 0 && (end - first) % group_ == 0) {
    encodeGroups(target, token, rows.data, first, (end - first) / group_, tile);
    return;
  }
  for (int64_t c = first; c < end;) {
    int64_t next = std::min(end, (c / group_ + 1) * group_);
    ConstStridedRows from{rows.data + c * arraySize_, rows.stride};
    StridedRows to{tile + (c - first) * codeSize_, tileStride};
    loadInverses(target, token, c / group_, Axis::Tokens, count, factors);
    if (isI4) {
      int64_t high = numUnits() + c;
      if (high / group_ == c / group_)
        std::copy_n(factors, count, highFactors);
      else
        loadInverses(target, token, high / group_, Axis::Tokens, count, highFactors);
      kernels_->encodePairs(from, {rows.data + high * arraySize_, rows.stride}, count, next - c,
                            factors, highFactors, to);
    } else {
      kernels_->encode(from, count, next - c, factors, to);
    }
    c = next;
  }
}

/// The way back.
void CacheCodec::decodeTile(const StoredTokens &source, int64_t token, int64_t count,
                            const uint8_t *tile, int64_t firstUnit, int64_t endUnit,
                            TokenRows rows) const {
  float factors[tileTokens], highFactors[tileTokens];
  bool isI4 = storage_ == ElementType::I4;
  int64_t channelsPerUnit = isI4 ? 1 : unitChannels_;
  int64_t first = firstUnit * channelsPerUnit, end = endUnit * channelsPerUnit;
  for (int64_t c = first; c < end;) {
    int64_t next = std::min(end, (c / group_ + 1) * group_);
    ConstStridedRows from{tile + (c - first) * codeSize_, tileStride};
    StridedRows to{rows.data + c * arraySize_, rows.stride};
    loadFactors(source, token, c / group_, Axis::Tokens, count, factors);
    if (isI4) {
      int64_t high = numUnits() + c;
      loadFactors(source, token, high / group_, Axis::Tokens, count, highFactors);
      kernels_->decodePairs(from, count, next - c, factors, highFactors, to,
                            {rows.data + high * arraySize_, rows.stride});
    } else {
      kernels_->decode(from, count, next - c, factors, to);
    }
    c = next;
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
      copyRow(to, from, count * unitSize_);
    } else if (token % 2 == 0 && t + 1 < tokens) {
      interleavePairs(to, from, from + units.stride, count);
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
      copyRow(to, from, count * unitSize_);
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
      encodeTile(target, target.first + t, tokens, {rows.data + t * rows.stride, rows.stride}, u,
                 end, tile);
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
      decodeTile(source, source.first + t, tokens, tile, u, end,
                 {rows.data + t * rows.stride, rows.stride});
    }
}

} // namespace llmir
