// Reading and writing the elements and scales of a paged cache in kernels, whatever they are stored
// as: f32 in, f32 out. The rules of rounding are those of docs/CacheLayout.md, so that compiled
// code and the runtime store the same bytes.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEELEMENTS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEELEMENTS_H

#include "KernelBuilder.h"

#include "llmir/ABI.h"

namespace mlir::llm {

/// One side of a cache: its keys or its values.
struct CacheSide {
  uint32_t type;
  uint32_t granularity; ///< llmir_scale_granularity
  uint32_t scaleType;
  int64_t headDim;
  int64_t group; ///< Channels of a scale group.
  int64_t scaleOffset, scaleStride;
  int64_t interleave = 1; ///< Of keys: channels that lie side by side; of values: tokens.
  bool isKey = false;

  static CacheSide keys(const llmir_cache_layout &layout);
  static CacheSide values(const llmir_cache_layout &layout);

  bool isPacked() const { return type == LLMIR_I4; }
  /// Whether an element is two channels of bf16.
  bool pairsChannels() const { return isKey && interleave == 2; }
  /// Channels that one load of an element gives: 2 (of i4 c and c + headDim / 2; of pairs 2 c and
  /// 2 c + 1) or 1.
  int64_t streams() const { return isPacked() || pairsChannels() ? 2 : 1; }
  /// Elements that are addressed apart: bytes for i4, pairs, else channels.
  int64_t units() const { return headDim / streams(); }
  bool hasConstantScale() const {
    return granularity == LLMIR_SCALE_TENSOR || granularity == LLMIR_SCALE_HEAD;
  }
  /// Stored scales of a token; 0: none.
  int64_t storedGroups() const { return llmir_stored_scale_groups(granularity, headDim, group); }
  /// Channels that share a stored scale.
  int64_t groupChannels() const { return storedGroups() > 1 ? headDim / storedGroups() : headDim; }
  /// What loadElements adds to every element (i4 is read as stored): who sums elements takes it
  /// from the sum of what they are multiplied by.
  double readOffset() const { return isPacked() ? 8.0 : 0.0; }
  /// What a value read by loadElements must be multiplied by (fp8 is read as f16 bits).
  double readFactor() const { return type == LLMIR_F8E4M3FN ? 256.0 : 1.0; }
  bool isQuantized() const { return type > LLMIR_BF16; }
  bool isInteger() const { return type == LLMIR_I8 || type == LLMIR_I4; }
  bool isFloat8() const { return type == LLMIR_F8E4M3FN || type == LLMIR_F8E5M2; }
};

/// Reads a stream of `lanes` units at a byte address as an f32 vector, which is readOffset() too
/// large; what it is without is to be multiplied by readFactor() and the scale.
Value loadElements(KernelBuilder &builder, const CacheSide &side, Value base, Value address,
                   int64_t lanes, int64_t stream);

/// Reads `lanes` scales at a byte address.
Value loadScales(KernelBuilder &builder, const CacheSide &side, Value base, Value address,
                 int64_t lanes);

/// The code (i8; i4 in the low bits, plus 8) of a scaled f32: rounded to nearest even and clamped.
/// Of i8, i4 and fp8 only.
Value emitCode(KernelBuilder &builder, const CacheSide &side, Value scaled);

/// The scale for an absolute maximum, as stored (scaleType).
Value emitScale(KernelBuilder &builder, const CacheSide &side, Value absoluteMaximum);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_CACHEELEMENTS_H
