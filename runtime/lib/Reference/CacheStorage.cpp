// Codes by search, scales by definition, addresses by the formulas of ABI.h.

#include "llmir/Reference/CacheStorage.h"

#include "llmir/Base/Float16.h"

#include <cmath>
#include <cstring>
#include <limits>

namespace llmir::reference {

/// The value of an 8-bit float without its sign.
static double decodeFloat8(uint32_t magnitude, int mantissaBits, int bias) {
  uint32_t exponent = magnitude >> mantissaBits;
  uint32_t mantissa = magnitude & ((1u << mantissaBits) - 1);
  if (exponent == 0)
    return std::ldexp(mantissa, 1 - bias - mantissaBits);
  return std::ldexp(mantissa + (1u << mantissaBits), int(exponent) - bias - mantissaBits);
}

double decodeElement(uint32_t type, uint32_t code) {
  double sign = code & 0x80 ? -1 : 1;
  uint32_t magnitude = code & 0x7f;
  switch (type) {
  case LLMIR_F32: {
    float value;
    std::memcpy(&value, &code, sizeof(value));
    return value;
  }
  case LLMIR_F16:
    return halfToFloat(static_cast<uint16_t>(code));
  case LLMIR_BF16:
    return bfloat16ToFloat(static_cast<uint16_t>(code));
  case LLMIR_F8E4M3FN:
    return magnitude == 0x7f ? std::numeric_limits<double>::quiet_NaN()
                             : sign * decodeFloat8(magnitude, 3, 7);
  case LLMIR_F8E5M2:
    if (magnitude >= 0x7c)
      return magnitude == 0x7c ? sign * std::numeric_limits<double>::infinity()
                               : std::numeric_limits<double>::quiet_NaN();
    return sign * decodeFloat8(magnitude, 2, 15);
  case LLMIR_I8:
    return static_cast<int8_t>(code);
  default: // i4
    return static_cast<int>(code) - 8;
  }
}

/// The nearest of the codes 0 .. largest, whose values rise; ties to the even one.
static uint32_t nearestCode(uint32_t type, uint32_t largest, double magnitude) {
  uint32_t best = 0;
  double distance = magnitude;
  for (uint32_t code = 1; code <= largest; ++code) {
    double other = std::abs(decodeElement(type, code) - magnitude);
    if (other < distance || (other == distance && code % 2 == 0)) {
      best = code;
      distance = other;
    }
  }
  return best;
}

static uint32_t encodeFloat8(uint32_t type, double value, uint32_t largest, uint32_t nan) {
  uint32_t sign = std::signbit(value) ? 0x80 : 0;
  if (std::isnan(value))
    return sign | nan;
  double magnitude = std::min(std::abs(value), decodeElement(type, largest));
  return sign | nearestCode(type, largest, magnitude);
}

static int encodeInteger(double value, int limit) {
  if (std::isnan(value))
    return 0;
  // nearbyint rounds ties to even in the default mode.
  return static_cast<int>(std::nearbyint(std::fmin(std::fmax(value, -limit), limit)));
}

uint32_t encodeElement(uint32_t type, double value) {
  float narrow = static_cast<float>(value);
  switch (type) {
  case LLMIR_F32: {
    uint32_t bits;
    std::memcpy(&bits, &narrow, sizeof(bits));
    return bits;
  }
  case LLMIR_F16:
    return floatToHalf(narrow);
  case LLMIR_BF16:
    return floatToBFloat16(narrow);
  case LLMIR_F8E4M3FN:
    return encodeFloat8(type, value, 0x7e, 0x7f);
  case LLMIR_F8E5M2:
    return encodeFloat8(type, value, 0x7b, 0x7e);
  case LLMIR_I8:
    return static_cast<uint8_t>(encodeInteger(value, 127));
  default: // i4
    return static_cast<uint32_t>(encodeInteger(value, 7) + 8);
  }
}

float scaleFor(double magnitude, uint32_t type, uint32_t scaleType) {
  double largest = type == LLMIR_I8         ? 127
                   : type == LLMIR_I4       ? 7
                   : type == LLMIR_F8E4M3FN ? 448
                                            : 57344;
  float scale = static_cast<float>(magnitude / largest);
  if (scaleType == LLMIR_F16)
    return std::isinf(halfToFloat(floatToHalf(scale))) ? 65504 : halfToFloat(floatToHalf(scale));
  return static_cast<float>(decodeElement(scaleType, encodeElement(scaleType, scale)));
}

namespace {

/// Keys or values of one (block, layer, head): the addresses that ABI.h defines.
struct HeadSide {
  HeadSide(const llmir_cache_layout &layout, int64_t layer, int64_t slot, int64_t head, bool isKeys,
           const ConstantScales &constants)
      : type(isKeys ? layout.key_type : layout.value_type), scaleType(layout.scale_type),
        granularity(isKeys ? layout.key_scale_granularity : layout.value_scale_granularity),
        dim(isKeys ? layout.key_head_dim : layout.value_head_dim), token(slot % layout.block_size) {
    int64_t start = slot / layout.block_size * layout.block_stride + layer * layout.layer_stride +
                    head * layout.head_stride;
    int64_t size = llmir_element_size(type);
    if (isKeys) {
      element = start + token * layout.key_token_stride;
      channelStride = layout.key_channel_stride;
      interleave = layout.key_interleave;
    } else {
      element = start + layout.value_offset +
                token / layout.value_interleave * layout.value_token_stride +
                token % layout.value_interleave * size;
      channelStride = layout.value_channel_stride;
    }
    group = granularity == LLMIR_SCALE_GROUP
                ? (isKeys ? layout.key_scale_group : layout.value_scale_group)
                : dim;
    scale = start + (isKeys ? layout.key_scale_offset : layout.value_scale_offset) +
            token * llmir_element_size(scaleType);
    scaleStride = isKeys ? layout.key_scale_stride : layout.value_scale_stride;
    auto scales = isKeys ? constants.keys : constants.values;
    if (!scales.empty())
      constant = scales[static_cast<size_t>(layer * layout.num_kv_heads + head)];
  }

  bool storesScales() const { return granularity >= LLMIR_SCALE_TOKEN; }

  int64_t elementAt(int64_t channel) const {
    int64_t column = type == LLMIR_I4 ? channel % (dim / 2) : channel;
    return element + column / interleave * channelStride +
           column % interleave * llmir_element_size(type);
  }

  uint32_t read(const uint8_t *base, int64_t address, uint32_t typeThere, int64_t channel) const {
    uint32_t code = 0;
    std::memcpy(&code, base + address, size_t(llmir_element_bits(typeThere) + 7) / 8);
    return typeThere == LLMIR_I4 ? (channel < dim / 2 ? code & 0xf : code >> 4) : code;
  }

  void write(uint8_t *base, int64_t address, uint32_t typeThere, int64_t channel,
             uint32_t code) const {
    if (typeThere == LLMIR_I4)
      code =
          channel < dim / 2 ? (base[address] & 0xf0u) | code : (base[address] & 0x0fu) | code << 4;
    std::memcpy(base + address, &code, size_t(llmir_element_bits(typeThere) + 7) / 8);
  }

  float scaleOf(const uint8_t *base, int64_t channel) const {
    if (granularity == LLMIR_SCALE_NONE)
      return 1;
    if (!storesScales())
      return constant;
    int64_t address = scale + channel / group * scaleStride;
    return static_cast<float>(decodeElement(scaleType, read(base, address, scaleType, 0)));
  }

  void storeScales(uint8_t *base, std::span<const double> channels) const {
    for (int64_t g = 0; g < dim / group; ++g) {
      double largest = 0;
      for (int64_t c = g * group; c < (g + 1) * group; ++c)
        largest = std::fmax(largest, std::abs(channels[static_cast<size_t>(c)]));
      uint32_t code = encodeElement(scaleType, scaleFor(largest, type, scaleType));
      write(base, scale + g * scaleStride, scaleType, 0, code);
    }
  }

  void store(uint8_t *base, std::span<const double> channels) const {
    if (storesScales())
      storeScales(base, channels);
    for (int64_t c = 0; c < dim; ++c) {
      float scaleHere = scaleOf(base, c);
      float inverse = scaleHere > 0 ? static_cast<float>(1.0 / double(scaleHere)) : 0.0f;
      if (granularity == LLMIR_SCALE_NONE)
        inverse = 1;
      double scaled = static_cast<float>(channels[static_cast<size_t>(c)] * double(inverse));
      write(base, elementAt(c), type, c, encodeElement(type, scaled));
    }
  }

  double load(const uint8_t *base, int64_t channel) const {
    double value = decodeElement(type, read(base, elementAt(channel), type, channel));
    return static_cast<float>(double(scaleOf(base, channel)) * value);
  }

  uint32_t type, scaleType, granularity;
  int64_t dim, token;
  int64_t element = 0, channelStride = 0, interleave = 1;
  int64_t group = 0, scale = 0, scaleStride = 0;
  float constant = 0;
};

} // namespace

void storeToken(const llmir_cache_layout &layout, uint8_t *base, int64_t layer, int64_t slot,
                std::span<const double> keys, std::span<const double> values,
                const ConstantScales &constants) {
  for (int64_t head = 0; head < layout.num_kv_heads; ++head) {
    auto keyDim = static_cast<size_t>(layout.key_head_dim);
    auto valueDim = static_cast<size_t>(layout.value_head_dim);
    HeadSide(layout, layer, slot, head, true, constants)
        .store(base, keys.subspan(static_cast<size_t>(head) * keyDim, keyDim));
    HeadSide(layout, layer, slot, head, false, constants)
        .store(base, values.subspan(static_cast<size_t>(head) * valueDim, valueDim));
  }
}

double readKey(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer, int64_t slot,
               int64_t head, int64_t channel, const ConstantScales &constants) {
  return HeadSide(layout, layer, slot, head, true, constants).load(base, channel);
}

double readValue(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer, int64_t slot,
                 int64_t head, int64_t channel, const ConstantScales &constants) {
  return HeadSide(layout, layer, slot, head, false, constants).load(base, channel);
}

} // namespace llmir::reference
