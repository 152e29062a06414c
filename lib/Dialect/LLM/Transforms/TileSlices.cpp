// Sizes of values and slices of tensors.

#include "TileSlices.h"

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;
using namespace mlir::llm;

OpFoldResult llm::getSize(OpBuilder &builder, Location loc, Value value, int64_t dim) {
  return isa<TensorType>(value.getType()) ? tensor::getMixedSize(builder, loc, value, dim)
                                          : memref::getMixedSize(builder, loc, value, dim);
}

TileSlice TileSlice::whole(OpBuilder &builder, Location loc, Value tensor) {
  TileSlice slice;
  for (int64_t dim = 0; dim < cast<RankedTensorType>(tensor.getType()).getRank(); ++dim) {
    slice.offsets.push_back(builder.getIndexAttr(0));
    slice.sizes.push_back(getSize(builder, loc, tensor, dim));
  }
  return slice;
}

Operation *llm::extractSlice(OpBuilder &builder, Location loc, Value tensor,
                             const TileSlice &slice) {
  SmallVector<OpFoldResult> strides(slice.sizes.size(), builder.getIndexAttr(1));
  return tensor::ExtractSliceOp::create(builder, loc, tensor, slice.offsets, slice.sizes, strides);
}

Type llm::withSizes(RankedTensorType type, ArrayRef<OpFoldResult> sizes) {
  SmallVector<int64_t> shape;
  for (OpFoldResult size : sizes)
    shape.push_back(getConstantIntValue(size).value_or(ShapedType::kDynamic));
  return type.clone(shape);
}
