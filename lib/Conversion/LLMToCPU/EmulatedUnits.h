// What a unit's instructions compute, in plain arithmetic with the same rounding and association:
// so that a level's schedule runs on a processor without it. Each primitive is one function of the
// module, which its users call, so that emulated code compiles in no time.

#ifndef LLMIR_LIB_CONVERSION_LLMTOCPU_EMULATEDUNITS_H
#define LLMIR_LIB_CONVERSION_LLMTOCPU_EMULATEDUNITS_H

#include "KernelLibrary.h"

namespace mlir::llm {

/// vpdpbusd: `sums` plus the four products of unsigned and signed bytes in each 32-bit lane.
Value emulateByteDots(KernelBuilder &builder, KernelLibrary &library, Value sums,
                      Value unsignedBytes, Value signedBytes);

/// vdpbf16ps: `sums` (f32) plus the two products of bf16 pairs (in i32) in each lane: the second
/// elements', rounded, then the first's. Numbers below the least normal one are zeros, going in and
/// coming out.
Value emulatePairDots(KernelBuilder &builder, KernelLibrary &library, Value sums, Value left,
                      Value right);

/// The operands of an emulated tile product: `rows` rows of `sums` (memref<?x16xT>) from `first`,
/// `rows` rows of `left` (memref<?xNxT, strided>) from (leftRow, leftColumn), and `words` rows of
/// 64 bytes of `right` (memref<?xi8>) from a byte; `words` of four bytes are met along k.
struct EmulatedTile {
  Value sums, first, left, leftRow, leftColumn, right, rightOffset;
  int64_t rows, words;
};

/// tdpbssd: i32 sums, signed bytes.
void emulateByteTile(KernelBuilder &builder, KernelLibrary &library, const EmulatedTile &tile);

/// tdpbf16ps: f32 sums, pairs of bf16. The products of first and of second elements are summed from
/// zero by fma, one pair after the other; both are added, then added to the sums. Flushes as above.
void emulatePairTile(KernelBuilder &builder, KernelLibrary &library, const EmulatedTile &tile);

} // namespace mlir::llm

#endif // LLMIR_LIB_CONVERSION_LLMTOCPU_EMULATEDUNITS_H
