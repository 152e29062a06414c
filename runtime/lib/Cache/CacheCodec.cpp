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
/// Of how many groups the factors are kept between storing scales and codes.
constexpr int64_t keptGroups = 64;

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

constexpr float ones[tileTokens] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

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

/// A call would cost more than the copy.
void copyScale(uint8_t *to, const uint8_t *from, int64_t size) {
  if (size == 2)
    std::memcpy(to, from, 2);
  else
    std::memcpy(to, from, 4);
}

float inverseOf(float scale) { return scale > 0 ? 1 / scale : 0; }

} // namespace

float scaleForMagnitude(float magnitude, ElementType storage, ElementType scaleType) {
  float largest[factorElements] = {magnitude}, inverses[factorElements];
  uint8_t stored[sizeof(largest)];
  rowKernels(ElementType::F32, scaleType)
      .makeScales(largest, 1, largestCode(storage), stored, inverses);
  return loadScale(stored, scaleType);
}

float maxMagnitude(ElementType array, const void *data, int64_t count) {
  float largest[factorElements];
  rowKernels(array, array)
      .maxMagnitudes({static_cast<const uint8_t *>(data), 0}, 1, count, largest);
  return largest[0];
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
  if (interleave_ == 1) // a division costs as much as a token of a narrow head
    return tokens.head + start_ + token * tokenStride_ + unit * unitStride_;
  return tokens.head + start_ + token / interleave_ * tokenStride_ +
         token % interleave_ * unitSize_ + unit * unitStride_;
}

uint8_t *CacheCodec::scaleAddress(const StoredTokens &tokens, int64_t token, int64_t group) const {
  return tokens.head + scaleStart_ + group * scaleStride_ + token * elementSize(scaleType_);
}

/// What codes are times: of `count` tokens' groups.
void CacheCodec::loadFactors(const StoredTokens &tokens, int64_t token, int64_t group,
                             int64_t count, float *factors) const {
  if (storedGroups_ == 0) {
    std::fill_n(factors, count, hasScales_ ? tokens.constantScale : 1.0f);
    return;
  }
  const uint8_t *address = scaleAddress(tokens, token, group);
  if (count > 4) {
    scaleKernels_->decode({address, 0}, 1, count, ones, {reinterpret_cast<uint8_t *>(factors), 0});
    return;
  }
  for (int64_t i = 0; i < count; ++i)
    factors[i] = loadScale(address + i * elementSize(scaleType_), scaleType_);
}

/// Stores the scales of at most a tile's tokens, and gives what their elements are multiplied by:
/// of group g and the i-th token at inverses[g * tileTokens + i], or of a single token at
/// inverses[g]; where there are more groups than are kept, nothing.
void CacheCodec::storeScales(const StoredTokens &target, ConstTokenRows rows,
                             float *inverses) const {
  if (storedGroups_ == 0) {
    std::fill_n(inverses, target.count, hasScales_ ? inverseOf(target.constantScale) : 1.0f);
    return;
  }
  float largest[tileUnits];
  uint8_t stored[sizeof(largest)];
  float code = largestCode(storage_);
  int64_t size = elementSize(scaleType_);
  bool keeps = storedGroups_ <= keptGroups;
  if (target.count == 1) { // all groups at once
    for (int64_t g = 0; g < storedGroups_; g += tileUnits) {
      int64_t count = std::min(tileUnits, storedGroups_ - g);
      kernels_->maxMagnitudes({rows.data + g * group_ * arraySize_, group_ * arraySize_}, count,
                              group_, largest);
      scaleKernels_->makeScales(largest, count, code, stored, inverses);
      uint8_t *address = scaleAddress(target, target.first, g);
      for (int64_t i = 0; i < count; ++i)
        copyScale(address + i * scaleStride_, stored + i * size, size);
    }
    return;
  }
  for (int64_t g = 0; g < storedGroups_; ++g) {
    kernels_->maxMagnitudes({rows.data + g * group_ * arraySize_, rows.stride}, target.count,
                            group_, largest);
    uint8_t *address = scaleAddress(target, target.first, g);
    float *factors = inverses + (keeps ? g * tileTokens : 0);
    if (target.count % factorElements == 0) {
      scaleKernels_->makeScales(largest, target.count, code, address, factors);
      continue;
    }
    scaleKernels_->makeScales(largest, target.count, code, stored, factors);
    std::memcpy(address, stored, static_cast<size_t>(target.count * size));
  }
}

/// Codes of units [firstUnit, endUnit) of at most a tile's tokens; `inverses` as storeScales()
/// gives them.
void CacheCodec::encodeTile(const StoredTokens &source, ConstTokenRows rows, const float *inverses,
                            int64_t firstUnit, int64_t endUnit, TokenRows codes) const {
  // Of i4, a unit's channels are half a head apart, each in its group.
  bool isI4 = storage_ == ElementType::I4;
  int64_t channelsPerUnit = isI4 ? 1 : unitChannels_, units = numUnits();
  int64_t first = firstUnit * channelsPerUnit, end = endUnit * channelsPerUnit;
  ConstStridedRows low{rows.data + first * arraySize_, rows.stride};
  ConstStridedRows high{low.data + units * arraySize_, rows.stride};
  StridedRows to{codes.data, codes.stride};
  int64_t step = source.count == 1 ? 1 : tileTokens; // from a group's factors to the next one's
  if (storedGroups_ <= 1) {
    if (isI4)
      kernels_->encodePairs(low, high, source.count, end - first, inverses, inverses, to);
    else
      kernels_->encode(low, source.count, end - first, inverses, to);
    return;
  }
  if (group_ % factorElements == 0 && storedGroups_ <= keptGroups) {
    const float *lowFactors[tileUnits / factorElements], *highFactors[tileUnits / factorElements];
    int64_t group = first / group_, highGroup = (units + first) / group_;
    int64_t groupEnd = (group + 1) * group_, highEnd = (highGroup + 1) * group_ - units;
    for (int64_t i = 0, c = first; c < end; ++i, c += factorElements) {
      group += c == groupEnd;
      groupEnd += c == groupEnd ? group_ : 0;
      highGroup += c == highEnd;
      highEnd += c == highEnd ? group_ : 0;
      lowFactors[i] = inverses + group * step;
      highFactors[i] = inverses + highGroup * step;
    }
    if (isI4)
      kernels_->encodePairGroups(low, high, source.count, end - first, lowFactors, highFactors, to);
    else
      kernels_->encodeGroups(low, source.count, end - first, lowFactors, to);
    return;
  }
  for (int64_t c = first; c < end;) {
    int64_t next = std::min(end, (c / group_ + 1) * group_), bytes = (c - first) * arraySize_;
    float lowFactors[tileTokens], highFactors[tileTokens];
    loadInverses(source, c / group_, lowFactors);
    StridedRows part{to.data + (c - first) * codeSize_, to.stride};
    if (isI4) {
      loadInverses(source, (units + c) / group_, highFactors);
      kernels_->encodePairs({low.data + bytes, low.stride}, {high.data + bytes, high.stride},
                            source.count, next - c, lowFactors, highFactors, part);
    } else {
      kernels_->encode({low.data + bytes, low.stride}, source.count, next - c, lowFactors, part);
    }
    c = next;
  }
}

/// What elements of a stored group are multiplied by.
void CacheCodec::loadInverses(const StoredTokens &tokens, int64_t group, float *inverses) const {
  loadFactors(tokens, tokens.first, group, tokens.count, inverses);
  for (int64_t i = 0; i < tokens.count; ++i)
    inverses[i] = inverseOf(inverses[i]);
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
    loadFactors(source, token, c / group_, count, factors);
    if (isI4) {
      int64_t high = numUnits() + c;
      loadFactors(source, token, high / group_, count, highFactors);
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
  alignas(64) uint8_t tile[tileTokens * tileStride];
  float inverses[keptGroups * tileTokens];
  int64_t units = numUnits();
  for (int64_t t = 0; t < target.count; t += tileTokens) {
    StoredTokens part{target.head, target.first + t, std::min(tileTokens, target.count - t),
                      target.constantScale};
    ConstTokenRows from{rows.data + t * rows.stride, rows.stride};
    storeScales(part, from, inverses);
    for (int64_t u = 0; u < units; u += tileUnits) {
      int64_t end = std::min(units, u + tileUnits);
      uint8_t *place = address(part, part.first, u);
      if (order_ == Order::Rows) {
        encodeTile(part, from, inverses, u, end, {place, tokenStride_});
        continue;
      }
      encodeTile(part, from, inverses, u, end, {tile, tileStride});
      scatter(place, {tile, tileStride}, part.first, part.count, end - u);
    }
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
