// The sizes of results in terms of operands, for what asks `tensor.dim` of a result. What nothing
// says stays unknown: the columns of a block table, the tokens of a lookup, the longest path of a
// verification, and the tokens of a quantised tensor, which has no op that measures it.

#include "TileSlices.h"

#include "llmir/Dialect/LLM/IR/LLMOps.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace mlir::llm;

namespace {

/// Where the sizes of an op's results that its types do not have come from.
struct SizeBuilder {
  OpBuilder &builder;
  Location loc;

  OpFoldResult get(Value value, int64_t dim) const { return getSize(builder, loc, value, dim); }
  OpFoldResult apply(AffineExpr expression, OpFoldResult size) const {
    return affine::makeComposedFoldedAffineApply(builder, loc, expression, {size});
  }
  AffineExpr symbol() const { return builder.getAffineSymbolExpr(0); }

  /// Dimension 0 is `tokens`'s.
  OpFoldResult rows(Value tokens, int64_t dim) const {
    return dim == 0 ? get(tokens, 0) : OpFoldResult();
  }

  OpFoldResult getDim(EmbeddingOp op, unsigned, int64_t dim) const {
    return rows(op.getTokens(), dim);
  }
  OpFoldResult getDim(RMSNormOp op, unsigned, int64_t dim) const { return get(op.getInput(), dim); }
  OpFoldResult getDim(LayerNormOp op, unsigned, int64_t dim) const {
    return get(op.getInput(), dim);
  }
  OpFoldResult getDim(LinearOp op, unsigned, int64_t dim) const {
    return op.getResidual() ? get(op.getResidual(), dim) : rows(op.getInput(), dim);
  }
  OpFoldResult getDim(ShardedLinearOp op, unsigned, int64_t dim) const {
    return op.getResidual() ? get(op.getResidual(), dim) : rows(op.getInput(), dim);
  }
  OpFoldResult getDim(RopeOp op, unsigned result, int64_t dim) const {
    return get(op.getInputs()[result], dim);
  }
  OpFoldResult getDim(SwiGLUOp op, unsigned, int64_t dim) const { return get(op.getGate(), dim); }
  OpFoldResult getDim(GeGLUOp op, unsigned, int64_t dim) const { return get(op.getGate(), dim); }
  OpFoldResult getDim(MoEOp op, unsigned, int64_t dim) const { return get(op.getInput(), dim); }
  OpFoldResult getDim(LogitsOp op, unsigned, int64_t dim) const {
    if (dim == 0)
      return get(op.getRows(), 0);
    WeightOp weight = lookupWeight(op, op.getWeightAttr());
    return weight ? OpFoldResult(builder.getIndexAttr(weight.getRows())) : OpFoldResult();
  }
  OpFoldResult getDim(SampleOp op, unsigned, int64_t dim) const {
    return rows(op.getLogits(), dim);
  }
  OpFoldResult getDim(AttentionOp op, unsigned, int64_t dim) const {
    int64_t last = cast<ShapedType>(op.getQuery().getType()).getRank() - 1;
    return get(dim == last ? op.getValues() : op.getQuery(), dim);
  }
  OpFoldResult getDim(PagedAttentionOp op, unsigned, int64_t dim) const {
    return get(op.getQuery(), dim);
  }
  OpFoldResult getDim(AppendKVOp op, unsigned, int64_t dim) const { return get(op.getKeys(), dim); }
  /// Of one result [batch x tokens], of the other [batch, tokens].
  OpFoldResult getDim(ReserveKVOp op, unsigned result, int64_t dim) const {
    OpFoldResult batch = get(op.getSeqIds(), 0);
    OpFoldResult tokens = op.getTokenCount() ? OpFoldResult(op.getTokenCount())
                                             : OpFoldResult(builder.getIndexAttr(*op.getTokens()));
    if (result == cast<OpResult>(op.getBlockIndices()).getResultNumber())
      return dim == 0 ? batch : tokens;
    std::optional<int64_t> count = getConstantIntValue(tokens);
    if (count)
      return apply(symbol() * *count, batch);
    return arith::MulIOp::create(builder, loc, getValueOrCreateConstantIndexOp(builder, loc, batch),
                                 op.getTokenCount())
        .getResult();
  }
  /// Its first result is the cache.
  OpFoldResult getDim(RopeStoreKVOp op, unsigned result, int64_t dim) const {
    return get(op.getQueries()[result - 1], dim);
  }
  OpFoldResult getDim(LookupKVOp op, unsigned, int64_t dim) const {
    return rows(op.getSeqLens(), dim);
  }
  OpFoldResult getDim(BlockTableOp op, unsigned, int64_t dim) const {
    return rows(op.getSeqIds(), dim);
  }
  OpFoldResult getDim(SequenceLengthsOp op, unsigned, int64_t dim) const {
    return rows(op.getSeqIds(), dim);
  }
  OpFoldResult getDim(QuantizedMatmulOp op, unsigned, int64_t dim) const {
    return isa<ShapedType>(op.getInput().getType()) ? rows(op.getInput(), dim) : OpFoldResult();
  }
  OpFoldResult getDim(AllReduceOp op, unsigned, int64_t dim) const {
    return get(op.getInput(), dim);
  }
  OpFoldResult getDim(AllGatherOp op, unsigned, int64_t dim) const {
    OpFoldResult size = get(op.getInput(), dim);
    return dim == op.getDim() ? apply(symbol() * op.getShards(), size) : size;
  }
  OpFoldResult getDim(ReduceScatterOp op, unsigned, int64_t dim) const {
    OpFoldResult size = get(op.getInput(), dim);
    return dim == op.getDim() ? apply(symbol().floorDiv(op.getShards()), size) : size;
  }
  OpFoldResult getDim(RecvOp op, unsigned, int64_t dim) const {
    auto type = cast<ShapedType>(op.getOutput().getType());
    int64_t before = llvm::count_if(type.getShape().take_front(dim), ShapedType::isDynamic);
    return op.getSizes()[before];
  }
  OpFoldResult getDim(VerifyOp op, unsigned, int64_t dim) const {
    return dim == 0 ? apply(symbol() - 1, get(op.getCuLengths(), 0)) : OpFoldResult();
  }
};

template <typename OpTy>
struct ResultShapes
    : public ReifyRankedShapedTypeOpInterface::ExternalModel<ResultShapes<OpTy>, OpTy> {
  LogicalResult reifyResultShapes(Operation *op, OpBuilder &builder,
                                  ReifiedRankedShapedTypeDims &shapes) const {
    SizeBuilder sizes = {builder, op->getLoc()};
    for (OpResult result : op->getResults()) {
      SmallVector<OpFoldResult> &shape = shapes.emplace_back();
      auto type = dyn_cast<ShapedType>(result.getType());
      for (int64_t dim = 0; type && dim < type.getRank(); ++dim)
        shape.push_back(type.isDynamicDim(dim)
                            ? sizes.getDim(cast<OpTy>(op), result.getResultNumber(), dim)
                            : OpFoldResult(builder.getIndexAttr(type.getDimSize(dim))));
    }
    return success();
  }

  /// Makes nothing for the other sizes, and nothing at all where this one is not known.
  FailureOr<OpFoldResult> reifyDimOfResult(Operation *op, OpBuilder &builder, int resultIndex,
                                           int dim) const {
    auto type = dyn_cast<ShapedType>(op->getResult(resultIndex).getType());
    if (!type)
      return failure();
    if (!type.isDynamicDim(dim))
      return OpFoldResult(builder.getIndexAttr(type.getDimSize(dim)));
    SizeBuilder sizes = {builder, op->getLoc()};
    OpFoldResult size = sizes.getDim(cast<OpTy>(op), resultIndex, dim);
    if (!size)
      return failure();
    return size;
  }
};

template <typename... OpTypes> void attachModels(MLIRContext *context) {
  (OpTypes::template attachInterface<ResultShapes<OpTypes>>(*context), ...);
}

} // namespace

void llm::attachResultShapes(MLIRContext *context) {
  attachModels<AllGatherOp, AllReduceOp, AppendKVOp, AttentionOp, BlockTableOp, EmbeddingOp,
               GeGLUOp, LayerNormOp, LinearOp, LogitsOp, LookupKVOp, MoEOp, PagedAttentionOp,
               QuantizedMatmulOp, RMSNormOp, RecvOp, ReduceScatterOp, ReserveKVOp, RopeOp,
               RopeStoreKVOp, SampleOp, SequenceLengthsOp, ShardedLinearOp, SwiGLUOp, VerifyOp>(
      context);
}
