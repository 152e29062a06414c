// Integer dots of attention, for keys and values that are stored as i8 or i4: codes are widened to
// 16 bits and multiplied in pairs with queries, and weights, of 16 bits, into sums of 32 bits,
// which are exact and so need no order. Twice the multiply-adds of f32 an instruction, and half the
// conversions: a pair of neighbouring bytes is a word, whose products give the sum of one byte and
// 256 times the other's; the other's own sum, of the word shifted right, is taken from that.
//
// A row's query is rounded to 16 bits of its largest channel, and a row's weights of a tile, with
// the values' scales in them, to 16 bits of the tile's largest: both within 2^-16 of the largest.
// docs/Testing.md has what that costs.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONWORDS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONWORDS_H

#include "AttentionState.h"

#include <optional>

namespace mlir::llm {

class SplitContext;

/// How keys are read for integer dots. A load has the neighbouring tokens of some channels, in
/// lanes of 128 bits; the words of two loads make pairs.
struct KeyWords {
  int64_t bytes;    ///< Of a load.
  int64_t channels; ///< Rows of bytes that a load covers.
  int64_t tokens;   ///< Of each of them: a multiple of 16.

  /// None where f32 is used.
  static std::optional<KeyWords> of(const AttentionKernel &kernel, const CPUTarget &target);

  /// Rows of bytes of a step of the dot product.
  int64_t stepUnits() const { return 2 * channels; }
  /// 32-bit words that a step's queries take: the same pair for all tokens, or a load's lanes.
  int64_t queryElements() const { return channels == 1 ? 1 : bytes / 4; }
};

/// Whether values are multiplied as integers.
bool usesValueWords(const AttentionKernel &kernel, const CPUTarget &target);

/// The largest magnitude of a query's, or a weight's, 16 bits for which the sum of `count` products
/// with codes fits 32 bits.
double largestWord(const CacheSide &side, int64_t count);

/// What codes are multiplied with too much: i4 is stored with 8 added; an even byte of i8 lies
/// below an odd one, so it has no sign until 128 is added.
int64_t wordBias(const CacheSide &side);

/// A row's query in `scratch` (f32, scaled) as words beside it, with their scale, and what the
/// offset of the keys' codes adds to their dots.
void emitQueryWords(KernelBuilder &builder, const AttentionKernel &kernel, const CPUTarget &target,
                    Value scratch, const AttentionScratch &at, int64_t rows, Value row);

/// Words [lanes of 32 bits] of f32 numbers of magnitudes up to `largest`; a NaN becomes `largest`.
Value emitWords(KernelBuilder &builder, Value numbers, double largest);

/// The largest magnitude in vectors; a NaN or an infinity comes out as one.
Value emitLargest(KernelBuilder &builder, ArrayRef<Value> vectors);

/// The factor that brings numbers up to `magnitude` to `largest`; 0 for what is next to 0.
Value emitWordFactor(KernelBuilder &builder, Value magnitude, double largest);

/// Dots of codes: which sums a loop carries, and how they are read.
class WordDots {
public:
  /// Of loads of `bytes`.
  WordDots(KernelBuilder &b, const CPUTarget &target, const CacheSide &side, int64_t bytes);

  /// Sums that a row and half of the tokens (of the channels of values) take.
  static constexpr int64_t kSums = 2;
  /// How many rows, and whether one or both halves, are carried at a time.
  int64_t rowsAtOnce(int64_t rows) const;
  int64_t halvesAtOnce(int64_t rows) const;

  /// `times` * kSums zeros.
  SmallVector<Value> zeros(int64_t times) const;
  /// The words of two loads of one half (0, 1) and stream: the mixed ones and the upper ones.
  std::pair<Value, Value> operands(Value first, Value second, int64_t half, int64_t stream);
  /// Adds the products with `factor` (words) to `sums`, those of one row and half.
  void accumulate(MutableArrayRef<Value> sums, std::pair<Value, Value> operands, Value factor);
  /// Sums of the even and of the odd bytes of a row and half. `bias` (i32, scalar) is wordBias()
  /// times the sum of all factors.
  std::pair<Value, Value> separate(ArrayRef<Value> sums, Value bias);
  /// Eight neighbours of `lane` (128 bits), even and odd ones in turn, as f32.
  Value neighbours(std::pair<Value, Value> evenAndOdd, int64_t lane);

  VectorType words() const { return wordsType; }

private:
  Value multiplyAdd(Value sums, Value x, Value y);

  KernelBuilder &b;
  const CPUTarget &target;
  bool isPacked;
  int64_t lanes; ///< Of 32 bits.
  VectorType wordsType, intsType;
};

/// emitScores and emitValues of sides that have integer dots.
void emitWordScores(SplitContext &split, Value valid);
void emitWordValues(SplitContext &split, Value valid);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_ATTENTIONWORDS_H
