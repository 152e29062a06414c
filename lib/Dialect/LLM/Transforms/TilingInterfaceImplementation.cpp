// Tiling over tokens. In these ops the first dimension of every tensor that is cut counts tokens
// (for logits: rows that are asked for), and token i of a result depends on token i of those
// alone. Features are not tiled: an op names its weight by symbol, and a symbol has no slices.

#include "TileSlices.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "llmir/Dialect/LLM/Transforms/InterfaceImplementations.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"
#include "mlir/Interfaces/TilingInterface.h"

using namespace mlir;
using namespace mlir::llm;

namespace {

/// Whether the op's tokens are the rows of `operand`. Of logits they are the rows asked for, and
/// the activations from which these come are whole; the weight of a product of values is whole.
bool hasTokens(OpOperand &operand) {
  if (auto logits = dyn_cast<LogitsOp>(operand.getOwner()))
    return &operand == &logits.getRowsMutable();
  if (auto product = dyn_cast<QuantizedMatmulOp>(operand.getOwner()))
    return &operand == &product.getInputMutable();
  return true;
}

/// The number of tokens of `op`, by what of it can be measured: its first operand of tokens, or its
/// result where that is a quantised tensor.
OpFoldResult getNumTokens(OpBuilder &builder, Operation *op) {
  for (OpOperand &operand : op->getOpOperands())
    if (hasTokens(operand) && isa<ShapedType>(operand.get().getType()))
      return getSize(builder, op->getLoc(), operand.get(), 0);
  return getSize(builder, op->getLoc(), op->getResult(0), 0);
}

/// Whether all that is cut is a tensor.
bool canCut(Operation *op) {
  return !hasBuffers(op) && llvm::all_of(op->getOpOperands(), [](OpOperand &operand) {
    return !hasTokens(operand) || isa<RankedTensorType>(operand.get().getType());
  });
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
    if (!canCut(op))
      return failure();
    SmallVector<Value> operands;
    SmallVector<Operation *> slices;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!hasTokens(operand)) {
        operands.push_back(operand.get());
        continue;
      }
      TileSlice slice = TileSlice::whole(builder, op->getLoc(), operand.get());
      slice.restrict(0, offsets[0], sizes[0]);
      slices.push_back(extractSlice(builder, op->getLoc(), operand.get(), slice));
      operands.push_back(slices.back()->getResult(0));
    }
    SmallVector<Type> types;
    for (Type type : op->getResultTypes()) {
      SmallVector<int64_t> shape(cast<RankedTensorType>(type).getShape());
      shape.front() = getConstantIntValue(sizes[0]).value_or(ShapedType::kDynamic);
      types.push_back(cast<RankedTensorType>(type).clone(shape));
    }
    Operation *tiled = mlir::clone(builder, op, types, operands);
    return TilingResult{{tiled}, SmallVector<Value>(tiled->getResults()), slices};
  }

  LogicalResult getResultTilePosition(Operation *op, OpBuilder &builder, unsigned resultNumber,
                                      ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                      SmallVector<OpFoldResult> &resultOffsets,
                                      SmallVector<OpFoldResult> &resultSizes) const {
    auto type = dyn_cast<RankedTensorType>(op->getResult(resultNumber).getType());
    if (!type || ShapedType::isDynamicShape(type.getShape().drop_front()))
      return failure();
    resultOffsets = {offsets[0]};
    resultSizes = {sizes[0]};
    for (int64_t size : type.getShape().drop_front()) {
      resultOffsets.push_back(builder.getIndexAttr(0));
      resultSizes.push_back(builder.getIndexAttr(size));
    }
    return success();
  }

  /// Only of all features of some tokens.
  LogicalResult
  getIterationDomainTileFromResultTile(Operation *op, OpBuilder &, unsigned resultNumber,
                                       ArrayRef<OpFoldResult> offsets, ArrayRef<OpFoldResult> sizes,
                                       SmallVectorImpl<OpFoldResult> &domainOffsets,
                                       SmallVectorImpl<OpFoldResult> &domainSizes) const {
    auto type = cast<ShapedType>(op->getResult(resultNumber).getType());
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

template <typename... OpTypes> void attachModels(MLIRContext *context) {
  (OpTypes::template attachInterface<TokenTiling<OpTypes>>(*context), ...);
}

} // namespace

void llm::attachTokenTiling(MLIRContext *context) {
  attachModels<EmbeddingOp, GeGLUOp, LayerNormOp, LinearOp, LogitsOp, MoEOp, QuantizedMatmulOp,
               RMSNormOp, RopeOp, SampleOp, SwiGLUOp>(context);
}

void llm::registerTilingInterfaceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, LLMDialect *) {
    context->loadDialect<affine::AffineDialect, arith::ArithDialect, memref::MemRefDialect,
                         tensor::TensorDialect>();
    attachTokenTiling(context);
    attachAttentionTiling(context);
    attachResultShapes(context);
  });
}
