// AMX tiles as kernels use them: products of some tokens' rows and a panel's rows, whose sums stay
// in tile registers until they are stored. Emulated, the sums are in memory from the beginning.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_TILEUNIT_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_TILEUNIT_H

#include "EmulatedUnits.h"

namespace mlir::llm {

/// Tokens of one tile.
inline constexpr int64_t kTileTokens = 16;

/// Memory of `rows` rows of `width` elements in the function that `builder` is in, aligned to a
/// cache line.
Value allocateRows(KernelBuilder &builder, Type element, int64_t rows, int64_t width);

/// The sums of up to 32 tokens and 16 rows of a panel.
class TileSums {
public:
  /// `element` is i32 (signed bytes are multiplied) or f32 (pairs of bf16 are).
  TileSums(KernelBuilder &builder, KernelLibrary &library, Type element, int64_t tokens,
           bool isEmulated);

  void setZero();
  /// Adds the products of the tokens from `row`, `words` times four bytes from `column` on, and of
  /// as many rows of 64 bytes of `right` from `rightOffset` on. `words` is at most 16.
  void multiply(Value left, Value row, Value column, Value right, Value rightOffset, int64_t words);
  /// A loop over sums that stay in registers: body(iv).
  void loop(int64_t count, KernelBuilder::LoopBody body);
  /// Writes the sums to where load finds them.
  void store();
  /// The sums of one token: a vector of 16.
  Value load(int64_t token);

private:
  /// Of the tile that starts with token `index * kTileTokens`.
  int64_t rowsOf(size_t index) const {
    return std::min(kTileTokens, tokens - static_cast<int64_t>(index) * kTileTokens);
  }
  Value i16(int64_t value);
  /// A tile of rows of `bytes` bytes, `stride` bytes apart.
  Value loadTile(Value memref, Value element, int64_t rows, int64_t bytes, int64_t stride);
  Value address(Value memref, Value element);

  KernelBuilder &b;
  KernelLibrary &library;
  Type element;
  int64_t tokens;
  bool isEmulated;
  Value memory;             ///< Rows of 16 sums, one for each token.
  SmallVector<Value> tiles; ///< The sums, where they are not in memory.
};

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_TILEUNIT_H
