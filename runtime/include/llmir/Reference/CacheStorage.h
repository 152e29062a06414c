// The storage rule of docs/CacheLayout.md, element by element: codes, scales and addresses, in
// double precision with every rounding written out. The oracle of CacheCodec and of compiled code.

#ifndef LLMIR_REFERENCE_CACHESTORAGE_H
#define LLMIR_REFERENCE_CACHESTORAGE_H

#include "llmir/ABI.h"

#include <cstdint>
#include <span>

namespace llmir::reference {

/// Constant scales [layers, KV heads] of keys and of values; empty for a side without.
struct ConstantScales {
  std::span<const float> keys;
  std::span<const float> values;
};

/// The value of a code of a storage type (llmir_element_type): its bits, of i4 the four of them.
double decodeElement(uint32_t type, uint32_t code);

/// The code nearest to `value`, ties to the even one; 8-bit floats and integers saturate.
uint32_t encodeElement(uint32_t type, double value);

/// The scale of elements whose largest magnitude is `magnitude`, rounded to `scaleType`.
float scaleFor(double magnitude, uint32_t type, uint32_t scaleType);

/// Stores a token's keys [KV heads * key dim] and values [KV heads * value dim] at `slot` (block *
/// block_size + offset) of `layer`, scales included.
void storeToken(const llmir_cache_layout &layout, uint8_t *base, int64_t layer, int64_t slot,
                std::span<const double> keys, std::span<const double> values,
                const ConstantScales &constants = {});

/// One element of a stored token as attention sees it: scale * code, rounded to f32.
double readKey(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer, int64_t slot,
               int64_t head, int64_t channel, const ConstantScales &constants = {});
double readValue(const llmir_cache_layout &layout, const uint8_t *base, int64_t layer, int64_t slot,
                 int64_t head, int64_t channel, const ConstantScales &constants = {});

} // namespace llmir::reference

#endif // LLMIR_REFERENCE_CACHESTORAGE_H
