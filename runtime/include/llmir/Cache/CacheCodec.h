// CacheCodec: keys or values between plain arrays and the blocks of one cache, for every storage
// type, granularity of scales and arrangement, by the rule of docs/CacheLayout.md. Compiled steps
// follow the same rule, so both leave the same bytes. It knows no sequences and owns no memory.

#ifndef LLMIR_CACHE_CACHECODEC_H
#define LLMIR_CACHE_CACHECODEC_H

#include "llmir/Cache/CacheLayout.h"

#include <cstdint>

namespace llmir {

struct RowKernels;

enum class CacheSide { Keys, Values };

/// Where some tokens of one (block, layer, head) are stored.
struct StoredTokens {
  uint8_t *head = nullptr; ///< The head's keys: base + headOffset().
  int64_t first = 0;       ///< Of the block's tokens.
  int64_t count = 0;
  float constantScale = 0; ///< Of that layer and head, where scales are constants.
};

/// The rows of these tokens in a plain array: one head's channels each, side by side.
struct TokenRows {
  uint8_t *data = nullptr;
  int64_t stride = 0; ///< Bytes from a token to the next.
};
struct ConstTokenRows {
  const uint8_t *data = nullptr;
  int64_t stride = 0;
};

/// The scale that the rule gives channels whose largest magnitude is `magnitude`: rounded to
/// `scaleType` (f32, f16 or bf16).
float scaleForMagnitude(float magnitude, ElementType storage, ElementType scaleType);

/// The largest magnitude of `count` elements of type `array` (f32, f16 or bf16); NaNs do not count.
float maxMagnitude(ElementType array, const void *data, int64_t count);

/// The codec of one side of a cache. Immutable; any number of threads may use it at once for
/// different tokens.
class CacheCodec {
public:
  CacheCodec() = default;
  /// For blocks of `layout` (made by makeCacheLayout) and arrays of type `array`: f32, f16 or bf16.
  CacheCodec(const llmir_cache_layout &layout, CacheSide side, ElementType array);

  /// Bytes of one head's channels in an array.
  int64_t rowBytes() const { return channels_ * arraySize_; }

  /// Stores `rows`: computes and stores their scales where these are not constants, then writes
  /// codes. Touches nothing of other tokens, so what is stored is never rewritten.
  void encode(const StoredTokens &target, ConstTokenRows rows) const;
  /// Reads tokens back, rounded to the type of the array.
  void decode(const StoredTokens &source, TokenRows rows) const;

private:
  // A *unit* is what moves as one: an element, a byte of two i4 channels (half a head apart), or a
  // pair of neighbouring bf16 channels of a key.

  /// How the units of neighbouring tokens lie.
  enum class Order {
    Rows,       ///< A token's units are side by side.
    Columns,    ///< Neighbouring tokens' are, so storing a token is a transposition.
    TokenPairs, ///< Those of two tokens alternate.
  };

  void setKeys(const llmir_cache_layout &layout);
  void setValues(const llmir_cache_layout &layout);
  int64_t numUnits() const { return channels_ / unitChannels_; }
  uint8_t *address(const StoredTokens &tokens, int64_t token, int64_t unit) const;
  uint8_t *scaleAddress(const StoredTokens &tokens, int64_t token, int64_t group) const;
  void loadFactors(const StoredTokens &tokens, int64_t token, int64_t group, int64_t count,
                   float *factors) const;
  void loadInverses(const StoredTokens &tokens, int64_t group, float *inverses) const;
  void storeScales(const StoredTokens &target, ConstTokenRows rows, float *inverses) const;
  void encodeTile(const StoredTokens &source, ConstTokenRows rows, const float *inverses,
                  int64_t firstUnit, int64_t endUnit, TokenRows codes) const;
  void decodeTile(const StoredTokens &source, int64_t token, int64_t count, const uint8_t *tile,
                  int64_t firstUnit, int64_t endUnit, TokenRows rows) const;
  void scatter(uint8_t *target, ConstTokenRows units, int64_t firstToken, int64_t tokens,
               int64_t count) const;
  void gather(const uint8_t *source, TokenRows units, int64_t firstToken, int64_t tokens,
              int64_t count) const;

  ElementType storage_ = ElementType::F32;
  ElementType scaleType_ = ElementType::F32;
  Order order_ = Order::Rows;
  bool isPlain_ = true;    ///< Stored as it comes.
  bool hasScales_ = false; ///< Constant or stored.
  int64_t channels_ = 0;
  int64_t arraySize_ = 0; ///< Bytes of an array's element.
  int64_t codeSize_ = 0;  ///< Bytes of an element as RowKernels makes it.
  int64_t unitSize_ = 0;  ///< Bytes.
  int64_t unitChannels_ = 1;
  int64_t start_ = 0; ///< Bytes from the head.
  int64_t interleave_ = 1;
  int64_t tokenStride_ = 0;
  int64_t unitStride_ = 0;
  int64_t group_ = 0;        ///< Channels that share a scale.
  int64_t storedGroups_ = 0; ///< 0 where scales are constants.
  int64_t scaleStart_ = 0;
  int64_t scaleStride_ = 0;
  const RowKernels *kernels_ = nullptr;      ///< Between arrays and storage.
  const RowKernels *scaleKernels_ = nullptr; ///< Between f32 and stored scales.
};

} // namespace llmir

#endif // LLMIR_CACHE_CACHECODEC_H
