// Tiling over tokens. In all these ops every tensor's first dimension counts tokens, and token i of
// a result depends on token i of the operands alone.

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/InterfaceImplementations.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::llm;

namespace {

/// The number of tokens of `op`: the first dimension of its first tensor.
OpFoldResult getNumTokens(OpBuilder &builder, Operation *op) {
  Value input = op->getOperand(0);
  auto type = cast<RankedTensorType>(input.getType());
  if (!type.isDynamicDim(0))
    return builder.getIndexAttr(type.getDimSize(0));
  return tensor::DimOp::create(builder, op->getLoc(), input, 0).getResult();
}

/// Offsets and sizes of the tokens `offset` to `offset + size` of a tensor; nothing if another
/// dimension than the first is dynamic.
struct TokenSlice {
  SmallVector<OpFoldResult> offsets;
  SmallVector<OpFoldResult> sizes;
};
FailureOr<TokenSlice> getTokenSlice(OpBuilder &builder, RankedTensorType type, OpFoldResult offset,
                                    OpFoldResult size) {
  TokenSlice slice = {{offset}, {size}};
  for (int64_t dim : type.getShape().drop_front()) {
    if (ShapedType::isDynamic(dim))
      return failure();
    slice.offsets.push_back(builder.getIndexAttr(0));
    slice.sizes.push_back(builder.getIndexAttr(dim));
  }
  return slice;
}

/// `type` with the number of tokens `size`, where that is known.
Type withTokens(RankedTensorType type, OpFoldResult size) {
  SmallVector<int64_t> shape(type.getShape());
  shape.front() = getConstantIntValue(size).value_or(ShapedType::kDynamic);
  return type.clone(shape);
}

template <typename OpTy>
struct TokenTiling : public TilingInterface::ExternalModel<TokenTiling<OpTy>, OpTy> {
  SmallVector<utils::IteratorType> getLoopIteratorTypes(Operation *) const {
    return {utils::IteratorType::parallel};
  }

  SmallVector<Range> getIterationDomain(Operation *op, OpBuilder &builder) const {
    return {{builder.getIndexAttr(0), getNumTokens(builder, op), builder.getIndexAttr(1)}};
  }

  FailureOr<TilingResult> getTiledImplementation(Operation *op, OpBuilder &builder,
                                                 ArrayRef<OpFoldResult> offsets,
                                                 ArrayRef<OpFoldResult> sizes) const {
    SmallVector<Value> operands;
    SmallVector<Operation *> slices;
    for (Value operand : op->getOperands()) {
      auto type = cast<RankedTensorType>(operand.getType());
      FailureOr<TokenSlice> slice = getTokenSlice(builder, type, offsets[0], sizes[0]);
      if (failed(slice))
        return failure();
      SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
      slices.push_back(tensor::ExtractSliceOp::create(builder, op->getLoc(), operand,
                                                      slice->offsets, slice->sizes, strides));
      operands.push_back(slices.back()->getResult(0));
    }
    SmallVector<Type> types;
    for (Type type : op->getResultTypes())
      types.push_back(withTokens(cast<RankedTensorType>(type), sizes[0]));
    Operation *tiled = mlir::clone(builder, op, types, operands);
    return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
  }

  LogicalResult getResultTilePosition(Operation *op, OpBuilder &builder, unsigned resultNumber,
                                      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                      SmallVector<OpFoldResult> &resultOffsets,
                                      SmallVector<OpFoldResult> &resultSizes) const {
    auto type = cast<RankedTensorType>(op->getResult(resultNumber).getType());
    FailureOr<TokenSlice> slice = getTokenSlice(builder, type, offsets[0], sizes[0]);
    if (failed(slice))
      return failure();
    resultOffsets = std::move(slice->offsets);
    resultSizes = std::move(slice->sizes);
    return success();
  }

  /// Only of all features of some tokens.
  LogicalResult
  getIterationDomainTileFromResultTile(Operation *op, OpBuilder &, unsigned resultNumber,
                                       ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                       SmallVectorImpl<OpFoldResult> &domainOffsets,
                                       SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto type = cast<RankedTensorType>(op->getResult(resultNumber).getType());
    for (int64_t dim = 1; dim < type.getRank(); ++dim)
      if (!isConstantIntValue(offsets[dim], 0) ||
          !isConstantIntValue(sizes[dim], type.getDimSize(dim)))
        return failure();
    domainOffsets.assign({offsets[0]});
    domainSizes.assign({sizes[0]});
    return success();
  }

  FailureOr<TilingResult> generateResultTileValue(Operation *op, OpBuilder &builder,
                                                  unsigned resultNumber,
                                                  ArrayRef<OpFoldResult> offsets,
                                                  ArrayRef<OpFoldResult> sizes) const {
    SmallVector<OpFoldResult> domainOffsets, domainSizes;
    if (failed(getIterationDomainTileFromResultTile(op, builder, resultNumber, offsets, sizes,
                                                    domainOffsets, domainSizes)))
      return failure();
    FailureOr<TilingResult> result =
        getTiledImplementation(op, builder, domainOffsets, domainSizes);
    if (succeeded(result))
      result->tiledValues = {result->tiledValues[resultNumber]};
    return result;
  }
};

template <typename OpTy>
struct TokenShapes
    : public ReifyRankedShapedTypeOpInterface::ExternalModel<TokenShapes<OpTy>, OpTy> {
  LogicalResult reifyResultShapes(Operation *op, OpBuilder &builder,
                                  ReifiedRankedShapedTypeDims &shapes) const {
    OpFoldResult tokens = getNumTokens(builder, op);
    for (Type type : op->getResultTypes()) {
      FailureOr<TokenSlice> slice =
          getTokenSlice(builder, cast<RankedTensorType>(type), builder.getIndexAttr(0), tokens);
      if (failed(slice))
        return failure();
      shapes.push_back(std::move(slice->sizes));
    }
    return success();
  }
};

template <typename... OpTypes> void attachModels(MLIRContext *context) {
  (OpTypes::template attachInterface<TokenTiling<OpTypes>>(*context), ...);
  (OpTypes::template attachInterface<TokenShapes<OpTypes>>(*context), ...);
}

} // namespace

void llm::registerTilingInterfaceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, LLMDialect *) {
    context->loadDialect<arith::ArithDialect, tensor::TensorDialect>();
    attachModels<EmbeddingOp, GeGLUOp, LayerNormOp, LinearOp, MoEOp, RMSNormOp, RopeOp, SwiGLUOp>(
        context);
  });
}
