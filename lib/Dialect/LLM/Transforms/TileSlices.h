// What the tiling of several op families shares: sizes of values and slices of tensors. Private to
// the transforms library.

#ifndef LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TILESLICES_H
#define LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TILESLICES_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/OpDefinition.h"

namespace mlir::llm {

/// Offsets and sizes of a part of a tensor, one of each a dimension.
struct TileSlice {
  SmallVector<OpFoldResult> offsets;
  SmallVector<OpFoldResult> sizes;

  /// All of `tensor`.
  static TileSlice whole(OpBuilder &builder, Location loc, Value tensor);
  void restrict(int64_t dim, OpFoldResult offset, OpFoldResult size) {
    offsets[dim] = offset;
    sizes[dim] = size;
  }
};

/// The size of a dimension of a tensor or a buffer.
OpFoldResult getSize(OpBuilder &builder, Location loc, Value value, int64_t dim);

/// Extracts a part of a tensor.
Operation *extractSlice(OpBuilder &builder, Location loc, Value tensor, const TileSlice &slice);

/// `type` with other sizes, dynamic where they are not constants.
Type withSizes(RankedTensorType type, ArrayRef<OpFoldResult> sizes);

/// Attaches TilingInterface to the ops whose operands and results are rows that do not depend on
/// one another.
void attachTokenTiling(MLIRContext *context);
/// Attaches TilingInterface to dense and paged attention.
void attachAttentionTiling(MLIRContext *context);
/// Attaches ReifyRankedShapedTypeOpInterface to the ops whose results' sizes follow from operands.
void attachResultShapes(MLIRContext *context);

} // namespace mlir::llm

#endif // LLMIR_LIB_DIALECT_LLM_TRANSFORMS_TILESLICES_H
